"""The program for Ray's workers that the guide shows, with a worker that is lost; skipped where Ray is missing."""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from ffcv_hydra.run_folder import read_run
from tests import processes
from tests.docs.blocks import BLOCKS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(500),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
]
LOST = """
import os, pathlib, signal
import pytorch_lightning as pl

class Lost(pl.Callback):
    def __init__(self, marker):
        self.marker = pathlib.Path(marker)

    def on_train_epoch_start(self, trainer, module):
        if (trainer.current_epoch, trainer.global_rank) == (1, 1) and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""
OPTIONS = (
    "experiment=digits", "trainer.max_epochs=2", "+model.backbone.dropout=0", "loader.batch_size=32", "logger=none",
    "callbacks.progress=null",
)  # fmt: skip


@pytest.fixture
def short():
    """A folder for Ray's sockets, whose names may not be long."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    yield path
    shutil.rmtree(path)


def of_session(folder):
    """The command lines of processes that name a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(process.read_bytes().decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return [line for line in found if str(folder) in line]


def test_workers_of_ray_are_ranks_of_a_run_and_go_on_when_one_is_lost(tmp_path, short):
    (program,) = (block for block in BLOCKS if block.page == "docs/guides/clusters.md" and block.language == "python")
    (tmp_path / "program.py").write_text(program.text)
    (tmp_path / "losing.py").write_text(LOST)
    paths = [str(tmp_path), str(processes.ROOT), os.environ.get("PYTHONPATH", "")]
    ray = {"RAY_TMPDIR": str(short), "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    environment = {**os.environ, **ray, "PYTHONPATH": os.pathsep.join(paths)}
    lost = f"+callbacks.lost={{_target_: losing.Lost, marker: '{tmp_path}/lost'}}"
    cpu = ("trainer.accelerator=cpu", "hydra.run.dir=on_ray", lost)
    done = subprocess.run(
        [sys.executable, "program.py", *OPTIONS, *cpu], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "lost").exists() and not of_session(short)
    plain = processes.run(["run.py", *OPTIONS, "trainer=ddp_cpu", "hydra.run.dir=plain"], tmp_path)
    assert plain.returncode == 0, plain.stderr
    found, expected = (read_run(tmp_path / name).result for name in ("on_ray", "plain"))
    assert found["status"] == "completed" and found["metrics"] == pytest.approx(expected["metrics"], rel=1e-5)
    assert str(found["metrics"]["test_loss"]) in done.stdout.splitlines()[-1]
    assert not (tmp_path / "outputs").exists()
