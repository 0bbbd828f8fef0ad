"""Commands of the pages, as they are typed in a checkout."""

import os
import subprocess
from pathlib import Path

from tests.docs.blocks import ROOT


def in_folder(folder: Path, command: str) -> tuple[int, str]:
    """Run a command in a folder, where `run.py` and `convert.py` lie as well; its status and what it prints."""
    for script in ("run.py", "convert.py"):
        if not (folder / script).exists():
            (folder / script).symlink_to(ROOT / script)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{folder}",
            "COLUMNS": "120",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    return done.returncode, done.stdout
