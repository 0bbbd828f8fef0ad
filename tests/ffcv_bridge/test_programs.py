"""Programs that know FFCV alone, with the calls of public ones; each compares what it reads with what was written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_programs_run_and_read_what_they_wrote(tmp_path):
    command = [sys.executable, "-m", "ffcv_hydra", "run-ffcv", str(PROGRAMS / "all_of_them.py"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    names = sorted(path.stem for path in PROGRAMS.glob("*.py") if path.stem != "all_of_them")
    first_words = [line.partition(" ")[0] for line in done.stdout.splitlines()]  # TBB tells of forks in between
    assert [word for word in first_words if word in names] == names
    assert "run-ffcv: 5 DatasetWriters, 6 Loaders of this package" in done.stderr
