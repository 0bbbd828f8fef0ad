"""Files that are there as a whole or not at all."""

import resource
import signal
import subprocess
import sys

import pytest
import torch

from ffcv_hydra.atomic_file import save_whole, write_whole, written_beside
from ffcv_hydra.errors import WriteError


@pytest.fixture
def full_disk():
    """No file may become larger than 10 kB: what is behind that fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_F33_a_full_disk_leaves_the_former_file(tmp_path, full_disk):
    path = tmp_path / "folder/best.ckpt"
    save_whole({"weights": torch.ones(3)}, path)
    with pytest.raises(WriteError, match=r"folder/best\.ckpt cannot be written: File too large"):
        save_whole({"weights": torch.ones(30_000)}, path)
    assert torch.load(path)["weights"].shape == (3,)
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(OSError, match="File too large"):
        write_whole(tmp_path / "text", "x" * 20_000)
    assert list(tmp_path.iterdir()) == [path.parent]


KILLED = """
import os, signal, sys
from pathlib import Path
from ffcv_hydra.atomic_file import written_beside

with written_beside(Path(sys.argv[1])) as file:
    file.write(b"x" * 100_000)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_F33_what_a_killed_process_has_left_is_removed(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "best-epoch3.ckpt")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    with written_beside(tmp_path / "last.ckpt") as mine:  # of another name, and not yet there itself
        mine.write(b"mine")
        mine.flush()
        write_whole(tmp_path / "result.json", "{}")
        assert len(list(tmp_path.iterdir())) == 2
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"last.ckpt": "mine", "result.json": "{}"}


def test_F33_what_cannot_be_pickled_is_no_matter_of_the_disk(tmp_path):
    with pytest.raises(Exception, match="pickle") as caught:
        save_whole({"function": lambda: 1}, tmp_path / "file")
    assert not isinstance(caught.value, WriteError)
    assert not list(tmp_path.iterdir())


def test_F33_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"file/folder/last\.ckpt cannot be written: Not a directory"):
        save_whole({}, tmp_path / "file/folder/last.ckpt")
