"""Files that are there as a whole or not at all."""

import resource

import pytest
import torch

from ffcv_hydra.atomic_file import save_whole, write_whole
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


def test_F33_what_cannot_be_pickled_is_no_matter_of_the_disk(tmp_path):
    with pytest.raises(Exception, match="pickle") as caught:
        save_whole({"function": lambda: 1}, tmp_path / "file")
    assert not isinstance(caught.value, WriteError)
    assert not list(tmp_path.iterdir())


def test_F33_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"file/folder/last\.ckpt cannot be written: Not a directory"):
        save_whole({}, tmp_path / "file/folder/last.ckpt")
