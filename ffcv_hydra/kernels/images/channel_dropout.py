"""Channels of an image that are replaced by a value."""

import numpy as np

from ffcv_hydra.kernels.compiling.pointers import bytes_at, float64s_at, int64s_at
from ffcv_hydra.kernels.memory.copies import copy_bytes
from ffcv_hydra.kernels.memory.image_chain import image_function
from ffcv_hydra.kernels.random.generator import randint, uniform


@image_function
def drop_channels(source, target, key, parameters):
    """Fill channels with probability `p`, decided by draw 0 of the key; `target` may be `source`.

    Draw 1 says how many, uniform between the fewest and the most; those behind it which ones, all with the same
    probability.

    Parameters: p, a float64; pixels, channels and bytes per value; the fewest and the most channels; the address of
    one pixel that fills.
    """
    values = int64s_at(parameters, 7)
    pixels, channels, size = values[1], values[2], values[3]
    if uniform(np.uint64(key), 0) >= float64s_at(parameters, 1)[0]:
        return source
    if source != target:
        copy_bytes(target, source, pixels * channels * size)
    order, fill = np.arange(channels), bytes_at(values[6], channels * size)
    image = bytes_at(target, (pixels, channels * size))
    for n in range(values[4] + randint(np.uint64(key), 1, values[5] - values[4] + 1)):
        other = n + randint(np.uint64(key), 2 + n, channels - n)  # Fisher and Yates
        order[n], order[other] = order[other], order[n]
        for i in range(pixels):
            for byte in range(order[n] * size, (order[n] + 1) * size):
                image[i, byte] = fill[byte]
    return 0
