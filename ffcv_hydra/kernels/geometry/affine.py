"""Affine maps of one image: rotation, translation, scale and shear, sampled at the nearest pixel or bilinearly.

The matrix maps the centre of each output pixel to where it is read from in the input: (x, y) goes to
(m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]), in pixels, both counted from the middle of the image. Conventions and
rounding are those of `torchvision.transforms.v2.functional.affine` on tensors, in float64 where that works in float32.
"""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.geometry.warped_rows import blend_border, blended_row, narrowed, nearest_row, rounded
from ffcv_hydra.kernels.memory.copies import copy_bytes


@device_function
def inverse_affine_matrix(angle, translate_x, translate_y, scale, shear_x, shear_y, center_x, center_y, matrix):
    """Compose the matrix that maps the output's pixels to the input's.

    Args:
        angle: degrees, clockwise (torchvision's `affine`; its `rotate` turns the other way, so pass -angle for that).
        translate_x, translate_y: in pixels, right and down.
        scale: above 0.
        shear_x, shear_y: degrees, within (-90, 90).
        center_x, center_y: what is turned about, in pixels from the middle of the image.
        matrix: float64 (6,), written.
    """
    rotation, shear_x, shear_y = np.radians(angle), np.radians(shear_x), np.radians(shear_y)
    # rotation after shear, before the scale; its determinant is 1
    a = np.cos(rotation - shear_y) / np.cos(shear_y)
    b = -a * np.tan(shear_x) - np.sin(rotation)
    c = np.sin(rotation - shear_y) / np.cos(shear_y)
    d = np.cos(rotation) - c * np.tan(shear_x)
    matrix[0], matrix[1], matrix[3], matrix[4] = d / scale, -b / scale, -c / scale, a / scale
    moved_x, moved_y = center_x + translate_x, center_y + translate_y
    matrix[2] = center_x - matrix[0] * moved_x - matrix[1] * moved_y
    matrix[5] = center_y - matrix[3] * moved_x - matrix[4] * moved_y


@device_function
def map_of_places(inverse, height, width, matrix):
    """Compose where an image that is read by a matrix has its places: (x, y) of corners, from the upper left one.

    Args:
        inverse: float64 (6,), of `inverse_affine_matrix`.
        height, width: of the image.
        matrix: float64 (2, 3), written.
    """
    determinant = inverse[0] * inverse[4] - inverse[1] * inverse[3]
    a, b = inverse[4] / determinant, -inverse[1] / determinant
    c, d = -inverse[3] / determinant, inverse[0] / determinant
    x, y = 0.5 * width, 0.5 * height
    matrix[0, 0], matrix[0, 1], matrix[0, 2] = a, b, x - a * (x + inverse[2]) - b * (y + inverse[5])
    matrix[1, 0], matrix[1, 1], matrix[1, 2] = c, d, y - c * (x + inverse[2]) - d * (y + inverse[5])


@device_function
def _steps(slope, count):
    """What x pixels from the middle of an axis add to a position, float64 (count,)."""
    steps = np.empty(count)
    for x in range(count):
        steps[x] = slope * (x - 0.5 * (count - 1))
    return steps


@device_function
def _last_nearest(size):
    """The largest position to which the last of `size` pixels is nearest; half way between two the even one is."""
    return size - 0.5 if size % 2 == 1 else np.nextafter(size - 0.5, 0.0)


@device_function
def warp_nearest(source, target, matrix, fill):
    """Fill each pixel of `target` with the pixel of `source` that is nearest to where `matrix` maps it.

    Args:
        source, target: uint8 (H, W, C), not the same memory; C may as well be the bytes of a pixel of another dtype.
        matrix: float64 (6,), see the module.
        fill: uint8 (C,), for what lies outside of `source`.
    """
    height, width, size = source.shape
    middle_x, middle_y = 0.5 * (width - 1), 0.5 * (height - 1)
    steps_x, steps_y = _steps(matrix[0], width), _steps(matrix[3], width)
    last_x, last_y = _last_nearest(width), _last_nearest(height)
    is_shift = matrix[0] == 1 and matrix[3] == 0
    outside, offsets = np.empty((width, size), dtype=np.uint8), np.empty(width, dtype=np.int32)
    for x in range(width):
        for c in range(size):  # to assign an array takes as long to compile as all else
            outside[x, c] = fill[c]
    image, line = np.int64(source.ctypes.data), np.int64(target.ctypes.data)
    for y in range(height):
        fills = np.int64(outside.ctypes.data)  # here, so that it is there until the loop ends
        begin_x = matrix[1] * (y - middle_y) + matrix[2] + middle_x
        begin_y = matrix[4] * (y - middle_y) + matrix[5] + middle_y
        first, stop = narrowed(0, width, steps_x, matrix[0], begin_x, -0.5, last_x)
        first, stop = narrowed(first, stop, steps_y, matrix[3], begin_y, -0.5, last_y)
        if first >= stop:
            first = stop = 0
        copy_bytes(line, fills, first * size)
        to, from_x, from_y = line + first * size, steps_x[first] + begin_x, steps_y[first] + begin_y
        if is_shift and first < stop and abs(from_x - rounded(from_x)) < 0.49:  # else neighbours may round to one
            pixel = np.int64(rounded(from_y)) * width + np.int64(rounded(from_x))
            copy_bytes(to, image + pixel * size, (stop - first) * size)
        elif first < stop:
            part_x, part_y = steps_x[first:stop], steps_y[first:stop]
            nearest_row(image, width, size, part_x, begin_x, part_y, begin_y, offsets, to)
        copy_bytes(line + stop * size, fills, (width - stop) * size)
        line += width * size


@device_function
def warp_bilinear(source, target, matrix, fill):
    """Fill each pixel of `target` with the mean of the four pixels around where `matrix` maps it, weighted by nearness.

    Pixels outside of `source` count as `fill`. torchvision does the same for its `fill=None` (black); for a number it
    weighs the border a second time, which leaves a dark seam even where image and fill have one colour.

    Args:
        source, target: uint8 (H, W, C), not the same memory.
        matrix: float64 (6,), see the module.
        fill: uint8 (C,).
    """
    height, width, channels = source.shape
    middle_x, middle_y = 0.5 * (width - 1), 0.5 * (height - 1)
    steps_x, steps_y = _steps(matrix[0], width), _steps(matrix[3], width)
    scratch = np.empty((3, width), dtype=np.int32)
    image, line = np.int64(source.ctypes.data), np.int64(target.ctypes.data)
    for y in range(height):
        begin_x = matrix[1] * (y - middle_y) + matrix[2] + middle_x
        begin_y = matrix[4] * (y - middle_y) + matrix[5] + middle_y
        first = stop = 0
        if channels == 3:  # what it reads and writes beyond is still in the image, and the border is written last
            first, stop = narrowed(0, width - 1, steps_x, matrix[0], begin_x, 0.0, width - 2.001)
            first, stop = narrowed(first, stop, steps_y, matrix[3], begin_y, 0.0, height - 1.001)
        if first < stop:
            part_x, part_y = steps_x[first:stop], steps_y[first:stop]
            blended_row(image, width, part_x, begin_x, part_y, begin_y, scratch, line + first * channels)
        else:
            first = stop = 0
        blend_border(source, steps_x[:first], begin_x, steps_y[:first], begin_y, fill, target[y, :first])
        blend_border(source, steps_x[stop:], begin_x, steps_y[stop:], begin_y, fill, target[y, stop:])
        line += width * channels
