"""A change that an image goes through with a probability."""

import numpy as np

from ffcv_hydra.kernels.compiling.pointers import float64s_at, int64s_at
from ffcv_hydra.kernels.images.changes import call_change
from ffcv_hydra.kernels.memory.image_chain import image_function
from ffcv_hydra.kernels.random.generator import uniform

_SIZES = 4 * 8  # bytes before them


@image_function
def randomly_applied(source, target, key, parameters):
    """Change an image with probability `p`, decided by draw 0 of the key, by an amount that draw 1 is.

    Parameters: p, a float64; the address of a change; the smallest and the largest amount, float64; and its sizes.
    """
    values, floats = int64s_at(parameters, 4), float64s_at(parameters, 4)
    if uniform(np.uint64(key), 0) >= floats[0]:
        return source
    amounts = np.empty(1)
    amounts[0] = floats[2] + (floats[3] - floats[2]) * uniform(np.uint64(key), 1)
    return call_change(values[1], source, target, parameters + _SIZES, amounts)
