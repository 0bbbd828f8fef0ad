"""A part of an image that may reach beyond its edges, at a random place."""

import numpy as np

from ffcv_hydra.kernels.compilation import device_function, innermost_function
from ffcv_hydra.kernels.image_chain import image_function
from ffcv_hydra.kernels.memory import copy_row
from ffcv_hydra.kernels.pointers import int64s_at
from ffcv_hydra.kernels.random import randint

CONSTANT, EDGE, REFLECT, SYMMETRIC = 0, 1, 2, 3  # what lies beyond an edge


@device_function
def _inside(position, size, mode):
    """The position in [0, size) that stands for one beyond the edges; as `numpy.pad` has it."""
    if 0 <= position < size:
        return position
    if mode == EDGE or size == 1:
        return min(max(position, 0), size - 1)
    if mode == REFLECT:  # the edge itself is not repeated
        position %= 2 * (size - 1)
        return position if position < size else 2 * (size - 1) - position
    position %= 2 * size
    return position if position < size else 2 * size - 1 - position


@innermost_function
def _crop_row(source, left, width, size, filled, target, target_width):
    """One row of the part: what of it lies inside the image's row, and the fill on both sides."""
    first, stop = min(max(0, -left), target_width), max(0, min(target_width, width - left))
    if first >= stop:
        first = stop = target_width
    copy_row(target, filled, first * size)
    copy_row(target + first * size, source + (left + first) * size, (stop - first) * size)
    copy_row(target + stop * size, filled, (target_width - stop) * size)


@device_function
def _crop_repeated_row(source, left, width, size, mode, target, target_width):
    """One row of a part in which the image's own pixels stand beyond its edges."""
    first, stop = min(max(0, -left), target_width), max(0, min(target_width, width - left))
    copy_row(target + first * size, source + (left + first) * size, max(0, stop - first) * size)
    for x in range(target_width):
        if not first <= x < stop:
            copy_row(target + x * size, source + _inside(left + x, width, mode) * size, size)


@image_function
def random_pad_crop(source, target, key, parameters):
    """Pad an image and crop it at a random place, uniform over those that fit, by draws 0 and 1 of the key.

    Parameters: height, width and bytes per pixel of the image; height and width of the crop, at most those of the
    padded image; left, top, right and bottom of the padding, in pixels; CONSTANT, EDGE, REFLECT or SYMMETRIC; and the
    address of one row of the crop, uint8, filled with what CONSTANT pads with.
    """
    values = int64s_at(parameters, 11)
    height, width, size, target_height, target_width = values[0], values[1], values[2], values[3], values[4]
    mode, filled, length = values[9], values[10], target_width * size
    top = randint(np.uint64(key), 0, height + values[6] + values[8] - target_height + 1) - values[6]
    left = randint(np.uint64(key), 1, width + values[5] + values[7] - target_width + 1) - values[5]
    for y in range(target_height):
        row = target + y * length
        if mode != CONSTANT:
            copied = source + _inside(top + y, height, mode) * width * size
            _crop_repeated_row(copied, left, width, size, mode, row, target_width)
        elif 0 <= top + y < height:
            _crop_row(source + (top + y) * width * size, left, width, size, filled, row, target_width)
        else:
            copy_row(row, filled, length)
    return 0
