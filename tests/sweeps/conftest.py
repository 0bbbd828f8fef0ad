"""Sweeps over the stand-in: real processes, no training."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STANDIN = Path(__file__).parent / "standin.py"


class Sweeps:
    """Starts sweeps over the stand-in in a folder and reads what they leave."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen] = []

    def start(self, *overrides: str, **environment: str) -> subprocess.Popen:
        """Begin a sweep whose folder is `sweep`, in a session of its own."""
        process = subprocess.Popen(
            [sys.executable, str(STANDIN), "-m", "hydra.sweep.dir=sweep", *overrides],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *overrides: str, status: int = 0, **environment: str) -> str:
        """Run a sweep to its end; returns its output."""
        process = self.start(*overrides, **environment)
        output, _ = process.communicate(timeout=90)
        assert process.returncode == status, output
        return output

    def result(self, job: int | str) -> dict:
        return json.loads((self.folder / "sweep" / str(job) / "result.json").read_text())

    def record(self, job: int | str) -> dict:
        return json.loads((self.folder / "sweep" / str(job) / "job.json").read_text())

    def table(self) -> list[dict]:
        return json.loads((self.folder / "sweep" / "results.json").read_text())["jobs"]

    def jobs(self) -> list[str]:
        return sorted(path.parent.name for path in (self.folder / "sweep").glob("*/job.json"))

    def wait_for(self, *paths: str) -> None:
        """Wait until the files are there, with something in them."""
        deadline = time.monotonic() + 60
        while not all(self._has_content(path) for path in paths):
            assert time.monotonic() < deadline, paths
            time.sleep(0.05)

    def pid(self, path: str) -> int:
        return int((self.folder / "sweep" / path).read_text())

    def _has_content(self, path: str) -> bool:
        found = self.folder / "sweep" / path
        return found.is_file() and found.stat().st_size > 0

    def close(self) -> None:
        for path in (self.folder / "sweep").glob("*/started"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.killpg(int(path.read_text()), signal.SIGKILL)
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 30
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "processes are left"
        time.sleep(0.05)


@pytest.fixture
def sweeps(tmp_path):
    found = Sweeps(tmp_path)
    yield found
    found.close()


@pytest.fixture
def gone():
    return wait_until_gone
