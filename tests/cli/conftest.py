"""Running the commands as a user does."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """`command("run.py", "loader.batch_size=4")` runs a script of the checkout in an empty folder."""

    def call(script: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        names = ("HYDRA_FULL_ERROR", "SLURM_JOB_ID")
        inherited = {name: value for name, value in os.environ.items() if name not in names}
        return subprocess.run(
            [sys.executable, str(ROOT / script), *arguments],
            cwd=tmp_path,
            env={**inherited, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return call
