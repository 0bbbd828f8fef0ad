"""An operation, drawn per image, of those that RandAugment and TrivialAugment choose from."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.compiling.pointers import float64s_at, int64s_at
from ffcv_hydra.kernels.geometry.affine import inverse_affine_matrix, map_of_places
from ffcv_hydra.kernels.images.changes import call_change
from ffcv_hydra.kernels.memory.image_chain import image_function
from ffcv_hydra.kernels.random.generator import randint, uniform

NUM_OPERATIONS = 14
(
    IDENTITY, SHEAR_X, SHEAR_Y, TRANSLATE_X, TRANSLATE_Y, ROTATE, BRIGHTNESS, COLOR, CONTRAST, SHARPNESS, POSTERIZE,
    SOLARIZE, AUTO_CONTRAST, EQUALIZE,
) = range(NUM_OPERATIONS)  # fmt: skip

_DRAWS = 3  # per operation: which, its magnitude, its sign
_CHANGES, _SIZES = 4, 4 + NUM_OPERATIONS  # where they begin among the parameters


@device_function
def draw_operation(key, number, magnitude_bin, magnitudes, bins):
    """An operation, all equally likely, and its magnitude, which is negative half of the time up to `SHARPNESS`.

    Args:
        key: uint64. Draws 3 n to 3 n + 2 say which operation, from which bin its magnitude is taken, and its sign.
        number: n, of the operations that an image goes through.
        magnitude_bin: of all magnitudes; -1 to draw one.
        magnitudes: float64 (NUM_OPERATIONS * bins,).
        bins: their number.
    """
    operation = randint(key, _DRAWS * number, NUM_OPERATIONS)
    column = magnitude_bin if magnitude_bin >= 0 else randint(key, _DRAWS * number + 1, bins)
    magnitude = magnitudes[operation * bins + column]
    is_signed = SHEAR_X <= operation <= SHARPNESS
    if is_signed and uniform(key, _DRAWS * number + 2) < 0.5:
        magnitude = -magnitude
    return operation, magnitude


@device_function
def _warp_matrix(operation, magnitude, height, width, matrix):
    """Shear by a share of the other side (about the upper left corner), translate by pixels, or rotate by degrees."""
    slope = np.degrees(np.arctan(magnitude))
    if operation == SHEAR_X:
        inverse_affine_matrix(0.0, 0.0, 0.0, 1.0, slope, 0.0, -0.5 * width, -0.5 * height, matrix)
    elif operation == SHEAR_Y:
        inverse_affine_matrix(0.0, 0.0, 0.0, 1.0, 0.0, slope, -0.5 * width, -0.5 * height, matrix)
    elif operation == TRANSLATE_X:
        inverse_affine_matrix(0.0, np.trunc(magnitude), 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, matrix)
    elif operation == TRANSLATE_Y:
        inverse_affine_matrix(0.0, 0.0, np.trunc(magnitude), 1.0, 0.0, 0.0, 0.0, 0.0, matrix)
    else:  # counter-clockwise, as torchvision's `rotate`
        inverse_affine_matrix(-magnitude, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, matrix)


@device_function
def apply_operation(operation, magnitude, changes, source, target, sizes):
    """Apply one operation to an image.

    Args:
        operation: `IDENTITY`, `SHEAR_X`, ...
        magnitude: as torchvision's: shear as a slope, translations in pixels (cut to integers), rotation in degrees,
            what is added to the factor 1 of brightness, colour, contrast and sharpness, bits that posterize keeps, the
            share of 255 from which solarize inverts; not used by the others.
        changes: int64 (NUM_OPERATIONS,), addresses of the changes that the operations are; 0 for what changes nothing.
        source, target: addresses of images, uint8 (H, W, 1 or 3); not the same.
        sizes: that of the images' sizes, behind which is the address of the pixel that fills what is outside.

    Returns:
        `source` if nothing is changed, else 0.
    """
    if changes[operation] == 0:
        return source
    amounts = np.empty(6)
    if operation <= ROTATE:
        values = int64s_at(sizes, 2)
        _warp_matrix(operation, magnitude, values[0], values[1], amounts)
    elif operation <= SHARPNESS:
        amounts[0] = 1.0 + magnitude
    elif operation == SOLARIZE:
        amounts[0] = 255.0 * magnitude
    else:
        amounts[0] = magnitude
    return call_change(changes[operation], source, target, sizes, amounts)


@image_function
def augment(source, target, key, parameters):
    """Apply an operation that is drawn.

    Parameters: which one it is of those that an image goes through; the bin of all magnitudes, or -1; the number of
    bins; the address of the magnitudes; those of the changes; and the sizes.
    """
    values = int64s_at(parameters, _SIZES)
    magnitudes = float64s_at(values[3], NUM_OPERATIONS * values[2])
    operation, magnitude = draw_operation(np.uint64(key), values[0], values[1], magnitudes, values[2])
    return apply_operation(operation, magnitude, values[_CHANGES:], source, target, parameters + 8 * _SIZES)


@kernel("void(uint64[::1], int64, float64[::1], int64, int64[::1], int64[::1], float64[:, :, :, ::1])", brief=True)
def draw_policy_maps(keys, magnitude_bin, magnitudes, bins, heights, widths, matrices):
    """Draw what operations do to images, as maps of their places.

    Args:
        keys: uint64 (N,).
        magnitude_bin, magnitudes, bins: as of `draw_operation`.
        heights, widths: int64 (N,), of the images.
        matrices: float64 (K, N, 2, 3), filled, for each of the operations that an image goes through.
    """
    inverse = np.empty(6)
    for number in range(len(matrices)):
        for n in range(len(keys)):
            operation, magnitude = draw_operation(keys[n], number, magnitude_bin, magnitudes, bins)
            if not SHEAR_X <= operation <= ROTATE:
                operation, magnitude = TRANSLATE_X, 0.0
            _warp_matrix(operation, magnitude, heights[n], widths[n], inverse)
            map_of_places(inverse, heights[n], widths[n], matrices[number, n])
