"""A random affine map of an image."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.compiling.pointers import float64s_at, int64s_at
from ffcv_hydra.kernels.geometry.affine import inverse_affine_matrix, map_of_places
from ffcv_hydra.kernels.images.changes import call_change
from ffcv_hydra.kernels.memory.image_chain import image_function
from ffcv_hydra.kernels.random.generator import uniform

_SIZES = 11  # where they begin among the parameters


@device_function
def draw_affine(key, bounds, drawn):
    """Draw the parameters of an affine map, distributed as in `torchvision.transforms.RandomAffine`.

    Args:
        key: uint64; draws 0 to 5 are the angle, translations right and down, scale, shears along x and y.
        bounds: float64 (10,): smallest and largest angle, scale, shear along x, shear along y; uniform. Then the
            largest shifts in pixels right and down, either way; uniform, then rounded.
        drawn: float64 (6,), filled in the order of the draws: degrees, pixels, and a factor.
    """
    drawn[1] = np.rint(bounds[8] * (2 * uniform(key, 1) - 1))
    drawn[2] = np.rint(bounds[9] * (2 * uniform(key, 2) - 1))
    for k, place in enumerate((0, 3, 4, 5)):
        low, high = bounds[2 * k], bounds[2 * k + 1]
        drawn[place] = low + (high - low) * uniform(key, place)


@image_function
def random_affine(source, target, key, parameters):
    """Map an image about its middle, by parameters that are drawn.

    Parameters: the address of the change that maps; ten float64, the bounds; and its sizes.
    """
    drawn, matrix = np.empty(6), np.empty(6)
    draw_affine(np.uint64(key), float64s_at(parameters, _SIZES)[1:], drawn)
    inverse_affine_matrix(drawn[0], drawn[1], drawn[2], drawn[3], drawn[4], drawn[5], 0.0, 0.0, matrix)
    return call_change(int64s_at(parameters, 1)[0], source, target, parameters + 8 * _SIZES, matrix)


@kernel("void(uint64[::1], float64[::1], int64[::1], int64[::1], float64[:, :, ::1])", brief=True)
def draw_affine_maps(keys, bounds, heights, widths, matrices):
    """Draw what `random_affine` does to images, as maps of their places.

    Args:
        keys: uint64 (N,).
        bounds: float64 (10,), of `draw_affine`.
        heights, widths: int64 (N,), of the images.
        matrices: float64 (N, 2, 3), filled.
    """
    drawn, inverse = np.empty(6), np.empty(6)
    for n in range(len(keys)):
        draw_affine(keys[n], bounds, drawn)
        inverse_affine_matrix(drawn[0], drawn[1], drawn[2], drawn[3], drawn[4], drawn[5], 0.0, 0.0, inverse)
        map_of_places(inverse, heights[n], widths[n], matrices[n])
