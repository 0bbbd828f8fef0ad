"""Where the memory of batches comes from; what holds it is tested in `tests/loader`."""

import mmap
from pathlib import Path

import pytest
import torch

from ffcv_hydra.loader.engine.buffers import BufferPool

SMAPS = Path("/proc/self/smaps")
HAS_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage").exists() and SMAPS.exists()


def lent(count):
    return BufferPool().take_formed(count, count, (32, 32, 3), torch.uint8, lambda batch: batch.permute(0, 3, 1, 2))


def flags_at(address):
    is_here = False
    for line in SMAPS.read_text().splitlines():
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            begin, end = (int(part, 16) for part in first.split("-"))
            is_here = begin <= address < end
        elif first == "VmFlags:" and is_here:
            return rest
    raise AssertionError("no mapping there")


@pytest.mark.skipif(not HAS_HUGE_PAGES, reason="the kernel has no huge pages")
def test_large_batches_ask_for_huge_pages():
    array, _ = lent(512)
    assert "hg" in flags_at(array.ctypes.data)


def test_small_batches_ask_for_none(monkeypatch):
    monkeypatch.delattr(mmap, "mmap")
    array, _ = lent(16)
    assert array.shape == (16, 32, 32, 3)


def test_without_huge_pages_memory_is_lent_all_the_same(monkeypatch):
    def refuse(*_):
        raise OSError("Invalid argument")

    monkeypatch.setattr(mmap, "mmap", refuse)
    array, batch = lent(512)
    array[3, 1, 2] = 7
    assert batch.shape == (512, 3, 32, 32)
    assert (batch[3, :, 1, 2] == 7).all()
