"""A part of an image that may reach beyond its edges, at a random place."""

import numpy as np

from ffcv_hydra.kernels.compilation import device_function, kernel
from ffcv_hydra.kernels.memory import copy_bytes
from ffcv_hydra.kernels.pointers import unowned
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


@device_function
def _crop_inside(source, top, left, target):
    """Copy what of the part lies inside the image; returns the rows and columns of `target` that it fills."""
    height, width, size = source.shape
    begin, end = max(0, -top), min(target.shape[0], height - top)
    first, stop = max(0, -left), min(target.shape[1], width - left)
    if first >= stop:
        end = begin
    for y in range(begin, end):
        copy_bytes(target[y, first].ctypes.data, source[top + y, left + first].ctypes.data, (stop - first) * size)
    return begin, end, first, stop


@device_function
def _crop_repeated(source, top, left, mode, target):
    """Copy a part in which the image's own pixels stand beyond its edges."""
    height, width, size = source.shape
    begin, end, first, stop = _crop_inside(source, top, left, target)
    for y in range(target.shape[0]):
        row = source[_inside(top + y, height, mode)]
        x = 0
        while x < target.shape[1]:
            if begin <= y < end and x == first:
                x = stop
                continue
            copy_bytes(target[y, x].ctypes.data, row[_inside(left + x, width, mode)].ctypes.data, size)
            x += 1


@kernel("void(uint64[::1], int64[::1], int64, uint8[::1], uint8[:, :, :, ::1], uint8[:, :, :, ::1])")
def random_pad_crop(keys, padding, mode, fill, source, target):
    """Pad each image and crop it at a random place, uniform over those that fit.

    Args:
        keys: uint64 (N,); draws 0 and 1 are the top and the left of the crop in the padded image.
        padding: int64 (4,): left, top, right, bottom, in pixels.
        mode: CONSTANT, EDGE, REFLECT or SYMMETRIC.
        fill: uint8 (B,), for CONSTANT.
        source: uint8 (N, H, W, B), B bytes per pixel.
        target: uint8 (N, h, w, B); h and w at most the padded height and width.
    """
    tops = source.shape[1] + padding[1] + padding[3] - target.shape[1] + 1
    lefts = source.shape[2] + padding[0] + padding[2] - target.shape[2] + 1
    filled = np.empty(target.shape[1:], dtype=np.uint8)
    filled[:] = fill
    source, target = unowned(source), unowned(target)
    for n in range(len(keys)):
        top = randint(keys[n], 0, tops) - padding[1]
        left = randint(keys[n], 1, lefts) - padding[0]
        if mode == CONSTANT:
            copy_bytes(target[n].ctypes.data, filled.ctypes.data, filled.size)
            _crop_inside(source[n], top, left, target[n])
        else:
            _crop_repeated(source[n], top, left, mode, target[n])
