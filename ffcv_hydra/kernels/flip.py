"""Mirroring of images."""

from ffcv_hydra.kernels.compilation import kernel
from ffcv_hydra.kernels.memory import copy_bytes, mirror_row
from ffcv_hydra.kernels.pointers import unowned
from ffcv_hydra.kernels.random import uniform


@kernel("void(uint64[::1], float64, uint8[:, :, ::1], uint8[:, :, ::1], int64)")
def random_horizontal_flip(keys, p, source, target, size):
    """Mirror image n left to right with probability `p`, decided by draw 0 of key n.

    Args:
        keys: uint64 (N,).
        source, target: uint8 (N, H, B), B bytes per row.
        size: bytes per pixel.
    """
    count, height, length = source.shape
    source, target = unowned(source), unowned(target)
    for n in range(count):
        if uniform(keys[n], 0) < p:
            for y in range(height):
                mirror_row(target[n, y].ctypes.data, source[n, y].ctypes.data, length // size, size)
        else:
            copy_bytes(target[n].ctypes.data, source[n].ctypes.data, height * length)


@kernel("void(uint64[::1], float64, uint8[:, :, ::1], uint8[:, :, ::1])")
def random_vertical_flip(keys, p, source, target):
    """Mirror image n top to bottom with probability `p`, decided by draw 0 of key n.

    Args:
        keys: uint64 (N,).
        source, target: uint8 (N, H, B), B bytes per row.
    """
    count, height, length = source.shape
    source, target = unowned(source), unowned(target)
    for n in range(count):
        if uniform(keys[n], 0) < p:
            for y in range(height):
                copy_bytes(target[n, y].ctypes.data, source[n, height - 1 - y].ctypes.data, length)
        else:
            copy_bytes(target[n].ctypes.data, source[n].ctypes.data, height * length)
