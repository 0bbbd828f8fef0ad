"""Sweeps of `run.py` itself, started as a user does."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests import processes

ROOT = Path(__file__).parents[2]
QUIET = ("logger=none", "trainer.enable_model_summary=false", "test_after_fit=false")


@contextlib.contextmanager
def started(folder, *overrides):
    """A sweep that runs; ended, if it still does, with the context."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *overrides, *QUIET],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.communicate(timeout=90)


def run(folder, *overrides, status=0):
    """The output of a sweep that has ended."""
    done = processes.run(["run.py", *overrides, *QUIET], folder)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def results(sweep):
    """What results.json says of each job."""
    return {job["job"]: job for job in json.loads((sweep / "results.json").read_text())["jobs"]}
