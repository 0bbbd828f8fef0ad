"""Mirroring of images."""

import numpy as np

from ffcv_hydra.kernels.compiling.pointers import float64s_at, int64s_at
from ffcv_hydra.kernels.memory.copies import copy_row, mirror_rows
from ffcv_hydra.kernels.memory.image_chain import image_function
from ffcv_hydra.kernels.random.generator import uniform


@image_function
def random_horizontal_flip(source, target, key, parameters):
    """Mirror an image left to right with probability `p`, decided by draw 0 of the key.

    Parameters: p, a float64; height, width, bytes per pixel.
    """
    values = int64s_at(parameters, 4)
    if uniform(np.uint64(key), 0) >= float64s_at(parameters, 1)[0]:
        return source
    mirror_rows(target, source, values[1], values[2], values[3])
    return 0


@image_function
def random_vertical_flip(source, target, key, parameters):
    """Mirror an image top to bottom with probability `p`, decided by draw 0 of the key.

    Parameters: as of `random_horizontal_flip`.
    """
    values = int64s_at(parameters, 4)
    height, length = values[1], values[2] * values[3]
    if uniform(np.uint64(key), 0) >= float64s_at(parameters, 1)[0]:
        return source
    for y in range(height):
        copy_row(target + y * length, source + (height - 1 - y) * length, length)
    return 0
