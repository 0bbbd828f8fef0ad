"""Running the commands as a user does."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import run

ROOT = Path(__file__).parents[2]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """`command("run.py", "loader.batch_size=4")` runs a script of the checkout in an empty folder."""

    def call(script: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        names = ("HYDRA_FULL_ERROR", "SLURM_JOB_ID")
        inherited = {name: value for name, value in os.environ.items() if name not in names}
        return run([script, *arguments], tmp_path, {**inherited, **environment})

    return call
