"""Brightness, contrast, saturation and hue changed in random order."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.pointers import float64s_at, int64s_at
from ffcv_hydra.kernels.images.changes import call_change
from ffcv_hydra.kernels.memory.image_chain import image_function
from ffcv_hydra.kernels.random.generator import randint, uniform

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
_CHANGES, _RANGES, _SIZES = 1, 5, 13  # where they begin among the parameters


@device_function
def draw_jitter(key, ranges, factors, order):
    """A factor for each of the four changes, uniform in its range, and their order, uniform over the 24 permutations.

    Draws 1 to 4 of a key are the factors, 5 to 7 the order; 0 is left to the choice of the sample.

    Args:
        key: uint64.
        ranges: float64 (8,), from and to, of brightness, contrast, saturation, hue.
        factors: float64 (4,), written.
        order: int64 (4,), written: the change that comes first, second, ...
    """
    for change in range(4):
        low, high = ranges[2 * change], ranges[2 * change + 1]
        factors[change] = low + (high - low) * uniform(key, 1 + change)
        order[change] = change
    for last in range(3, 0, -1):  # Fisher and Yates
        other = randint(key, 8 - last, last + 1)
        order[last], order[other] = order[other], order[last]


@device_function
def jitter(changes, factors, order, source, target, sizes):
    """Make the four changes; a factor that changes nothing (1, of hue 0) is passed over.

    Args:
        changes: int64 (4,), addresses of the changes of brightness, contrast, saturation and hue.
        factors: float64 (4,), of them.
        order: int64 (4,), a permutation of the four.
        source, target: addresses of images, uint8 (H, W, 1 or 3); may be the same.
        sizes: that of the images' sizes.

    Returns:
        `source` if no factor changes anything, else 0.
    """
    image = source
    for step in range(4):
        change = order[step]
        if factors[change] != (0.0 if change == HUE else 1.0):
            call_change(changes[change], image, target, sizes, factors[change:])
            image = target
    return source if image != target else 0


@image_function
def random_jitter(source, target, key, parameters):
    """Change an image with probability `p`, decided by draw 0 of the key, as `draw_jitter` says; may be in place.

    Parameters: p, a float64; addresses of the four changes; their eight bounds, float64; and the images' sizes.
    """
    values, floats = int64s_at(parameters, _SIZES), float64s_at(parameters, _SIZES)
    if uniform(np.uint64(key), 0) >= floats[0]:
        return source
    factors, order = np.empty(4), np.empty(4, dtype=np.int64)
    draw_jitter(np.uint64(key), floats[_RANGES:], factors, order)
    return jitter(values[_CHANGES:], factors, order, source, target, parameters + 8 * _SIZES)
