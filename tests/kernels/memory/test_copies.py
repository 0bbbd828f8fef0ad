"""Copies between addresses touch what they are told to, and nothing beside it."""

import numpy as np
import pytest

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.memory.copies import copy_bytes, copy_row, mirror_row, mirror_rows

GUARD = 32


@kernel("void(uint8[::1], uint8[::1], int64, int64, int64)")
def mirror(target, source, begin, width, size):
    mirror_row(target.ctypes.data + begin, source.ctypes.data, width, size)


@kernel("void(uint8[::1], uint8[::1], int64, int64, int64, int64)")
def mirror_image(target, source, begin, height, width, size):
    mirror_rows(target.ctypes.data + begin, source.ctypes.data, height, width, size)


@kernel("void(uint8[::1], uint8[::1], int64, int64)")
def copy(target, source, begin, count):
    copy_bytes(target.ctypes.data + begin, source.ctypes.data, count)


@kernel("void(uint8[::1], uint8[::1], int64, int64)")
def row_copy(target, source, begin, count):
    copy_row(target.ctypes.data + begin, source.ctypes.data, count)


def test_rows_of_every_length_are_copied_and_nothing_around_them_is_touched():
    for count in range(300):
        source = np.random.default_rng(count).integers(0, 256, count, dtype=np.uint8)
        target = np.full(2 * GUARD + count, 77, dtype=np.uint8)
        row_copy(target, source, GUARD, count)
        assert np.array_equal(target[GUARD : GUARD + count], source)
        assert (target[:GUARD] == 77).all()
        assert (target[GUARD + count :] == 77).all()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 12])
def test_rows_of_every_width_are_mirrored_and_nothing_around_them_is_touched(size):
    for width in range(70):
        pixels = np.random.default_rng(width).integers(0, 256, (width, size), dtype=np.uint8)
        target = np.full(2 * GUARD + pixels.size, 77, dtype=np.uint8)
        mirror(target, pixels.reshape(-1), GUARD, width, size)
        assert np.array_equal(target[GUARD : len(target) - GUARD].reshape(width, size), pixels[::-1])
        assert (target[:GUARD] == 77).all()
        assert (target[len(target) - GUARD :] == 77).all()


@pytest.mark.parametrize("size", [1, 3, 4])
@pytest.mark.parametrize("height", [0, 1, 2, 5])
def test_images_of_every_width_are_mirrored_and_nothing_around_them_is_touched(size, height):
    for width in [*range(50), 63, 64, 65, 224]:
        pixels = np.random.default_rng(width).integers(0, 256, (height, width, size), dtype=np.uint8)
        target = np.full(2 * GUARD + pixels.size, 77, dtype=np.uint8)
        mirror_image(target, pixels.reshape(-1), GUARD, height, width, size)
        assert np.array_equal(target[GUARD : len(target) - GUARD].reshape(pixels.shape), pixels[:, ::-1])
        assert (target[:GUARD] == 77).all()
        assert (target[len(target) - GUARD :] == 77).all()


@pytest.mark.parametrize("count", [0, 1, 31, 3072])
def test_blocks_are_copied(count):
    source = np.random.default_rng(0).integers(0, 256, count, dtype=np.uint8)
    target = np.full(2 * GUARD + count, 77, dtype=np.uint8)
    copy(target, source, GUARD, count)
    assert np.array_equal(target[GUARD : GUARD + count], source)
    assert (target[:GUARD] == 77).all()
    assert (target[GUARD + count :] == 77).all()
