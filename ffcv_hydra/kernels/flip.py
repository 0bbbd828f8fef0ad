"""Mirroring of images."""

from ffcv_hydra.kernels.compilation import kernel
from ffcv_hydra.kernels.random import uniform


@kernel("void(uint64[::1], float64, uint8[:, :, :, ::1], uint8[:, :, :, ::1])")
def random_horizontal_flip(keys, p, source, target):
    """Mirror image n left to right with probability `p`, decided by key n.

    Args:
        keys: uint64 (N,).
        source, target: uint8 (N, H, W, B), B bytes per pixel.
    """
    count, height, width, size = source.shape
    for n in range(count):
        if uniform(keys[n], 0) < p:
            for y in range(height):
                for x in range(width):
                    for b in range(size):
                        target[n, y, x, b] = source[n, y, width - 1 - x, b]
        else:
            target[n] = source[n]
