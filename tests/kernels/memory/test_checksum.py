import numpy as np
import pytest
import xxhash

from ffcv_hydra.kernels.memory.checksum import first_mismatch

DATA = np.random.default_rng(0).integers(0, 256, 6000, dtype=np.uint8)
DATA.setflags(write=False)


def checksums_of(offsets, sizes):
    spans = zip(offsets, sizes, strict=True)
    return np.array([xxhash.xxh64_intdigest(DATA[start : start + size]) for start, size in spans], dtype=np.uint64)


def test_every_size_and_alignment_has_the_checksum_that_xxhash_gives():
    random = np.random.default_rng(1)
    sizes = np.concatenate([np.arange(200), random.integers(0, 5001, 2000)])
    for alignment in range(8):
        offsets = random.integers(0, 120, len(sizes)) * 8 + alignment
        assert first_mismatch(DATA, offsets, sizes, checksums_of(offsets, sizes)) == -1


def test_each_byte_counts():
    offsets, sizes = np.array([3]), np.array([77])
    expected = checksums_of(offsets, sizes)
    for position in range(77):
        damaged = DATA.copy()
        damaged[3 + position] ^= 1
        assert first_mismatch(damaged, offsets, sizes, expected) == 0


@pytest.mark.parametrize("wrong", [[0], [4], [2, 3]])
def test_the_first_of_several_mismatches_is_named(wrong):
    offsets, sizes = np.arange(5) * 100, np.array([1, 0, 99, 32, 64])
    checksums = checksums_of(offsets, sizes)
    checksums[wrong] ^= np.uint64(1)
    assert first_mismatch(DATA, offsets, sizes, checksums) == wrong[0]


def test_no_spans_have_no_mismatch():
    none = np.empty(0, dtype=np.int64)
    assert first_mismatch(DATA, none, none, np.empty(0, dtype=np.uint64)) == -1
