"""Resampling of parts of images of any number of channels and several dtypes: the filters of `resize`.

Each kernel is of one dtype, and is called by `resize_window` at its address, so that nobody compiles what is not used.
Addresses in a file need not be aligned.
"""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.compiling.pointers import array_at, int64s_at
from ffcv_hydra.kernels.geometry.resize import span, vertical
from ffcv_hydra.kernels.geometry.taps import area_or_pair, taps
from ffcv_hydra.kernels.geometry.weighted_rows import even_taps, weighted_pixels, without_unread
from ffcv_hydra.kernels.memory.copies import copy_bytes

_signature = types.int64(*[types.int64] * 8)


@device_function
def within(value, low, high):
    """A number as an integer dtype from `low` to `high` holds it, rounded; as it is if `low` is not below `high`."""
    return min(max(np.floor(value + 0.5), low), high) if low < high else value


@device_function
def _box(source, stride, height, length, like):
    """The part of an image that a window is made of, and the distance of its rows in values; a copy if unaligned."""
    size = like.itemsize
    box, step = array_at(source, (((height - 1) * stride) // size + length,), like), stride // size
    if source % size != 0 or stride % size != 0:
        box, step = np.empty(height * length, dtype=like.dtype), length
        for y in range(height):
            copy_bytes(box.ctypes.data + y * length * size, source + y * stride, length * size)
    return box, step


@device_function
def _resample(source, stride, window, target, height, width, pixel_bytes, interpolation, like, row_like, limits):
    part, channels, upright = int64s_at(window, 9), pixel_bytes // like.itemsize, np.int64(0)
    box, step = _box(source, stride, part[2], part[3] * channels, like)
    method = area_or_pair(part, 1, interpolation)
    scale = np.int64(1)
    first_y, count_y, weights_y = taps(part[0], part[2], scale, part[4], part[6], height, upright, method, row_like)
    first_x, count_x, weights_x = taps(part[1], part[3], scale, part[5], part[7], width, part[8], method, row_like)
    start, stop = span(first_x, count_x)
    for x in range(width):
        first_x[x] = max(0, first_x[x] - start)  # those that read nothing may begin anywhere
    num_taps = even_taps(first_x, count_x, weights_x, stop - start)
    row, sums = np.empty(channels * (stop - start), row_like.dtype), np.empty(width * channels, row_like.dtype)
    kind, (low, high) = like.dtype.type, limits
    result = array_at(target, (height, width * channels), like)
    for y in range(height):
        if stop == 0 or count_y[y] == 0:
            result[y] = 0
            continue
        vertical(box, channels * start + first_y[y] * step, step, count_y[y], weights_y[y], row)
        weighted_pixels(row, first_x, weights_x, num_taps, channels, sums)
        without_unread(row, first_x, weights_x, num_taps, channels, sums)
        for i in range(len(sums)):
            result[y, i] = kind(within(sums[i], low, high))
    return 0


@kernel(_signature)
def resample_uint8(source, stride, window, target, height, width, pixel_bytes, interpolation):
    """Resize a part of an image; arguments and result are those of `copy_window`, and `resize_window`'s filter."""
    like, row = np.empty(0, np.uint8), np.empty(0, np.float32)
    limits = 0.0, 255.0
    return _resample(source, stride, window, target, height, width, pixel_bytes, interpolation, like, row, limits)


@kernel(_signature)
def resample_uint16(source, stride, window, target, height, width, pixel_bytes, interpolation):
    """As `resample_uint8`."""
    like, row = np.empty(0, np.uint16), np.empty(0, np.float64)
    limits = 0.0, 65535.0
    return _resample(source, stride, window, target, height, width, pixel_bytes, interpolation, like, row, limits)


@kernel(_signature)
def resample_int16(source, stride, window, target, height, width, pixel_bytes, interpolation):
    """As `resample_uint8`."""
    like, row = np.empty(0, np.int16), np.empty(0, np.float64)
    limits = -32768.0, 32767.0
    return _resample(source, stride, window, target, height, width, pixel_bytes, interpolation, like, row, limits)


@kernel(_signature)
def resample_float32(source, stride, window, target, height, width, pixel_bytes, interpolation):
    """As `resample_uint8`, without rounding."""
    like, row = np.empty(0, np.float32), np.empty(0, np.float32)
    limits = 0.0, 0.0
    return _resample(source, stride, window, target, height, width, pixel_bytes, interpolation, like, row, limits)
