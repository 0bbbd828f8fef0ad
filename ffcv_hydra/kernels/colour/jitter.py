"""Brightness, contrast, saturation and hue changed in random order."""

from ffcv_hydra.kernels.colour.contrast import adjust_contrast, adjust_saturation
from ffcv_hydra.kernels.colour.hue import adjust_hue
from ffcv_hydra.kernels.colour.tones import blend_with_level
from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.random.generator import randint, uniform

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


@kernel("void(uint64[::1], float64[:, ::1], float64[:, ::1], int64[:, ::1])")
def draw_jitter(keys, ranges, factors, orders):
    """A factor for each of the four changes, uniform in its range, and their order, uniform over the 24 permutations.

    Draws 1 to 4 of a key are the factors, 5 to 7 the order; 0 is left to the choice of the sample.

    Args:
        keys: uint64 (N,).
        ranges: float64 (4, 2), from and to, of brightness, contrast, saturation, hue.
        factors: float64 (N, 4), written.
        orders: int64 (N, 4), written: the change that comes first, second, ...
    """
    for n in range(len(keys)):
        for change in range(4):
            low, high = ranges[change, 0], ranges[change, 1]
            factors[n, change] = low + (high - low) * uniform(keys[n], 1 + change)
            orders[n, change] = change
        for last in range(3, 0, -1):  # Fisher and Yates
            other = randint(keys[n], 8 - last, last + 1)
            orders[n, last], orders[n, other] = orders[n, other], orders[n, last]


@kernel("void(boolean[::1], float64[:, ::1], int64[:, ::1], uint8[:, :, :, ::1], uint8[:, :, :, ::1])")
def jitter(chosen, factors, orders, source, target):
    """Make the four changes to the images that are chosen; a factor that changes nothing (1, of hue 0) is passed over.

    Args:
        chosen: bool (N,).
        factors: float64 (N, 4), of brightness, contrast, saturation, hue.
        orders: int64 (N, 4), a permutation of the four in each row.
        source, target: uint8 (N, H, W, 1 or 3).
    """
    for n in range(len(source)):
        target[n] = source[n]
        if not chosen[n]:
            continue
        image = target[n]
        for step in range(4):
            change = orders[n, step]
            factor = factors[n, change]
            if change == HUE:
                if factor != 0:
                    adjust_hue(factor, image, image)
            elif factor == 1:
                continue
            elif change == BRIGHTNESS:
                blend_with_level(factor, 0.0, image, image)
            elif change == CONTRAST:
                adjust_contrast(factor, image, image)
            else:
                adjust_saturation(factor, image, image)
