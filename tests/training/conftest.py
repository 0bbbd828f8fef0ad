"""Runs of the stand-in, in this process and in others."""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests import processes

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def train(monkeypatch):
    """`train` on the stand-in's data."""
    import standin_run

    import ffcv_hydra.training.run as run

    monkeypatch.setattr(run, "build_datamodule", lambda config: standin_run.PlainData())
    return run.train


@pytest.fixture
def result():
    def read(run_dir):
        return json.loads((run_dir / "result.json").read_text())

    return read


@pytest.fixture
def run_command(tmp_path):
    """Run the stand-in as a command in a session of its own; afterwards no process of it may be left."""
    started = []

    def run(run_dir, config, **environment):
        command = ["tests/training/standin_run.py", str(run_dir), json.dumps(config)]
        process = processes.start(command, tmp_path, tmp_path / "output.txt", environment={**os.environ, **environment})
        started.append(process.pid)
        process.join(timeout=150)
        assert process.exitcode is not None and _nothing_left(process.pid), "processes are left"
        return process.exitcode, (tmp_path / "output.txt").read_text()

    yield run
    for group in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _nothing_left(group):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False
