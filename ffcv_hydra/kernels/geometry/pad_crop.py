"""A part of an image that may reach beyond its edges, at a random place."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function, innermost_function, kernel
from ffcv_hydra.kernels.compiling.pointers import int64s_at
from ffcv_hydra.kernels.memory.copies import copy_bytes, copy_row
from ffcv_hydra.kernels.memory.image_chain import image_function
from ffcv_hydra.kernels.random.generator import randint

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
def _fill_columns(target, filled, begin, end, length, size):
    """Fill `size` bytes of each row of `length` bytes."""
    for y in range(begin, end):
        copy_row(target + y * length, filled, size)


@innermost_function
def _crop_filled(source, height, width, size, top, left, filled, target, target_height, target_width):
    """A part with the fill beyond the image's edges."""
    begin, end = min(max(0, -top), target_height), max(0, min(target_height, height - top))
    first, stop = min(max(0, -left), target_width), max(0, min(target_width, width - left))
    if first >= stop or begin >= end:
        begin = end = target_height
    length, stride = target_width * size, width * size
    inside, copied = target + first * size, source + top * stride + (left + first) * size
    if target_width == width and begin < end:  # one copy, and what is between two rows' parts is filled afterwards
        copy_bytes(inside + begin * length, copied + begin * stride, (end - begin - 1) * length + (stop - first) * size)
    else:
        for y in range(begin, end):
            copy_row(inside + y * length, copied + y * stride, (stop - first) * size)
    if first > 0:
        _fill_columns(target, filled, begin, end, length, first * size)
    if stop < target_width:
        _fill_columns(target + stop * size, filled, begin, end, length, (target_width - stop) * size)
    _fill_columns(target, filled, 0, begin, length, length)
    _fill_columns(target, filled, end, target_height, length, length)


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
    if mode == CONSTANT:
        _crop_filled(source, height, width, size, top, left, filled, target, target_height, target_width)
        return 0
    for y in range(target_height):
        row = source + _inside(top + y, height, mode) * width * size
        _crop_repeated_row(row, left, width, size, mode, target + y * length, target_width)
    return 0


@kernel("void(uint64[::1], int64[:, ::1])", brief=True)
def draw_corners(keys, corners):
    """Draw where `random_pad_crop` cuts parts out of padded images.

    Args:
        keys: uint64 (N,).
        corners: int64 (N, 2): by how many pixels the padded image is higher and wider than the part; becomes its top
            and left in the padded image.
    """
    for n in range(len(keys)):
        for axis in range(2):
            corners[n, axis] = randint(keys[n], axis, corners[n, axis] + 1)
