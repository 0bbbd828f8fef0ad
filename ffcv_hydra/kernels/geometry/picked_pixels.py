"""Windows of an image whose pixels are some of its own: cut out and mirrored as they are, or the nearest ones.

Pixels are so many bytes here, whatever their dtype and channels. All arguments are integers, since `resize_window`
calls these kernels by their addresses: few pipelines need both of them, or any.
"""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.compiling.pointers import bytes_at, int64s_at
from ffcv_hydra.kernels.geometry.taps import nearest_pixel
from ffcv_hydra.kernels.memory.copies import copy_bytes, mirror_row, zero_bytes

_signature = types.int64(*[types.int64] * 7)


@device_function
def _larger(a, b):
    return a if a > b else b


@device_function
def _smaller(a, b):
    return a if a < b else b


@kernel(_signature)
def copy_window(source, stride, window, target, height, width, pixel_bytes):
    """Write a part of an image as it is, or mirrored; zeros where that reaches beyond it.

    Args:
        source: the address of the first pixel of the window's box.
        stride: from one of its rows to the next, in bytes.
        window: the address of what `resize_window` takes, int64 (9,).
        target: the address of the outcome, `height` x `width` pixels of `pixel_bytes` each.

    Returns:
        0.
    """
    part = int64s_at(window, 9)
    top, bottom = _larger(0, -part[6]), _smaller(height, part[4] - part[6])
    left, right = _larger(0, -part[7]), _smaller(width, part[5] - part[7])
    row_bytes = width * pixel_bytes
    if bottom - top < height or right - left < width:
        zero_bytes(target, height * row_bytes)
    if right <= left or bottom <= top:
        return 0
    length = (right - left) * pixel_bytes
    source += (top + part[6]) * stride + (left + part[7]) * pixel_bytes
    target += top * row_bytes
    if part[8] != 0:
        for _ in range(top, bottom):
            mirror_row(target + (width - right) * pixel_bytes, source, right - left, pixel_bytes)
            source, target = source + stride, target + row_bytes
    elif length == row_bytes and length == stride:  # the rows follow one another in both
        copy_bytes(target, source, (bottom - top) * stride)
    else:
        for _ in range(top, bottom):
            copy_bytes(target + left * pixel_bytes, source, length)
            source, target = source + stride, target + row_bytes
    return 0


@kernel(types.int64(*[types.int64] * 6))
def fill_around(target, height, width, pixel_bytes, window, pixel):
    """Write one pixel, at the address `pixel`, wherever the outcome of `copy_window` reaches beyond its image."""
    part = int64s_at(window, 9)
    top, bottom = _larger(0, -part[6]), _smaller(height, part[4] - part[6])
    left, right = _larger(0, -part[7]), _smaller(width, part[5] - part[7])
    if part[8] != 0:
        left, right = width - right, width - left
    for y in range(height):
        is_empty = not top <= y < bottom
        for x in range(width):
            if is_empty or not left <= x < right:
                copy_bytes(target + (y * width + x) * pixel_bytes, pixel, pixel_bytes)
    return 0


@kernel(_signature)
def nearest_window(source, stride, window, target, height, width, pixel_bytes):
    """Resize a part of an image by the nearest pixel; arguments and result are those of `copy_window`."""
    part, pixels = int64s_at(window, 9), bytes_at(target, height * width * pixel_bytes)
    columns = np.empty(width, dtype=np.int64)
    for x in range(width):
        columns[x] = nearest_pixel(x + part[7], part[3], part[5])
    at = 0
    for y in range(height):
        row = nearest_pixel(y + part[6], part[2], part[4])
        stored = bytes_at(source + row * stride, part[3] * pixel_bytes)
        for x in range(width):
            column = columns[width - 1 - x if part[8] != 0 else x]
            for i in range(pixel_bytes):
                pixels[at] = 0 if row < 0 or column < 0 else stored[column * pixel_bytes + i]
                at += 1
    return 0
