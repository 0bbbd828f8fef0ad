"""A few operations, drawn per image, one after another: what RandAugment and TrivialAugment have in common."""

import numpy as np

from ffcv_hydra.kernels.colour.contrast import adjust_contrast, adjust_saturation
from ffcv_hydra.kernels.colour.histogram import equalize, stretch_contrast
from ffcv_hydra.kernels.colour.sharpness import adjust_sharpness
from ffcv_hydra.kernels.colour.tones import blend_with_level, posterize, solarize
from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.geometry.affine import inverse_affine_matrix, warp_nearest
from ffcv_hydra.kernels.random.generator import randint, uniform

NUM_OPERATIONS = 14
(
    IDENTITY, SHEAR_X, SHEAR_Y, TRANSLATE_X, TRANSLATE_Y, ROTATE, BRIGHTNESS, COLOR, CONTRAST, SHARPNESS, POSTERIZE,
    SOLARIZE, AUTO_CONTRAST, EQUALIZE,
) = range(NUM_OPERATIONS)  # fmt: skip

_DRAWS = 3  # per operation: which, its magnitude, its sign


@kernel("void(uint64[::1], int64, float64[:, ::1], boolean[::1], int64[:, ::1], float64[:, ::1])")
def draw_operations(keys, magnitude_bin, magnitudes, signed, operations, chosen):
    """Operations, all equally likely and independent, and a magnitude of each.

    Draws 3 i to 3 i + 2 of a key say which operation comes i-th, from which bin its magnitude is taken, and its sign.

    Args:
        keys: uint64 (N,).
        magnitude_bin: of all magnitudes; -1 to draw one for each operation.
        magnitudes: float64 (number of operations, bins).
        signed: bool (number of operations,), whether a magnitude is negative half of the time.
        operations: int64 (N, L), written.
        chosen: float64 (N, L), the magnitudes, written.
    """
    bins = magnitudes.shape[1]
    for n in range(len(keys)):
        for i in range(operations.shape[1]):
            operation = randint(keys[n], _DRAWS * i, len(magnitudes))
            column = magnitude_bin if magnitude_bin >= 0 else randint(keys[n], _DRAWS * i + 1, bins)
            magnitude = magnitudes[operation, column]
            if signed[operation] and uniform(keys[n], _DRAWS * i + 2) < 0.5:
                magnitude = -magnitude
            operations[n, i] = operation
            chosen[n, i] = magnitude


@device_function
def _warp(operation, magnitude, fill, source, target):
    """Shear by a share of the other side (about the upper left corner), translate by pixels, or rotate by degrees."""
    height, width, _ = source.shape
    matrix = np.empty(6, dtype=np.float64)
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
    warp_nearest(source, target, matrix, fill)


@device_function
def _recolour(operation, magnitude, source, target):
    if operation == BRIGHTNESS:
        blend_with_level(1.0 + magnitude, 0.0, source, target)
    elif operation == COLOR:
        adjust_saturation(1.0 + magnitude, source, target)
    elif operation == CONTRAST:
        adjust_contrast(1.0 + magnitude, source, target)
    elif operation == SHARPNESS:
        adjust_sharpness(1.0 + magnitude, source, target)
    elif operation == POSTERIZE:
        posterize(int(magnitude), source, target)
    elif operation == SOLARIZE:
        solarize(255.0 * magnitude, source, target)
    elif operation == AUTO_CONTRAST:
        stretch_contrast(source, target)
    elif operation == EQUALIZE:
        equalize(source, target)
    else:
        target[:] = source


@kernel("void(int64[:, ::1], float64[:, ::1], uint8[::1], uint8[:, :, :, ::1], uint8[:, :, :, ::1])")
def apply_operations(operations, magnitudes, fill, source, target):
    """Apply L operations to each image, one after another.

    Args:
        operations: int64 (N, L), `IDENTITY`, `SHEAR_X`, ...
        magnitudes: float64 (N, L), as torchvision's: shear as a slope, translations in pixels (cut to integers),
            rotation in degrees, what is added to the factor 1 of brightness, colour, contrast and sharpness, bits that
            posterize keeps, the share of 255 from which solarize inverts; not used by the others.
        fill: uint8 (C,), for what lies outside of the image.
        source, target: uint8 (N, H, W, 1 or 3).
    """
    spare = np.empty(source.shape[1:], dtype=np.uint8)
    for n in range(len(source)):
        target[n] = source[n]
        for i in range(operations.shape[1]):
            operation, magnitude = operations[n, i], magnitudes[n, i]
            if operation == IDENTITY:
                continue
            spare[:] = target[n]
            if SHEAR_X <= operation <= ROTATE:
                _warp(operation, magnitude, fill, spare, target[n])
            else:
                _recolour(operation, magnitude, spare, target[n])
