"""Resampling of a part of an image to another size.

Area: OpenCV's INTER_AREA, within one level: the mean of the input that an output pixel covers, and where the image
grows along one axis and shrinks along the other, what OpenCV has in its place. Bilinear: torch's antialiased bilinear,
within one level. Nearest: torch's nearest-exact.

Each axis on its own. The vertical pass goes first, over whole rows, because LLVM vectorises it; for the horizontal one
of three channels see `weighted_rows`.
"""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function, inlined_function
from ffcv_hydra.kernels.compiling.pointers import call_address
from ffcv_hydra.kernels.geometry.taps import NEAREST, area_or_pair, taps
from ffcv_hydra.kernels.geometry.weighted_rows import even_taps, weighted_rows
from ffcv_hydra.kernels.memory.parts import COPY_WINDOW, NEAREST_WINDOW, RESAMPLE


@device_function
def vertical(source, start, stride, count, weights, row):
    """One output row before the horizontal pass: the weighted sum of `count` input rows, as long as `row`."""
    kind, length = row.dtype.type, len(row)
    first, second = source[start : start + length], source[start + stride : start + stride + length]
    if count == 1:
        for x in range(length):
            row[x] = weights[0] * kind(first[x])
    elif count == 2:
        for x in range(length):
            row[x] = weights[0] * kind(first[x]) + weights[1] * kind(second[x])
    else:
        third = source[start + 2 * stride : start + 2 * stride + length]
        for x in range(length):
            row[x] = weights[0] * kind(first[x]) + weights[1] * kind(second[x]) + weights[2] * kind(third[x])
        for t in range(3, count - 1, 2):  # two at a time, to read and write the sums half as often
            one = source[start + t * stride : start + t * stride + length]
            other = source[start + (t + 1) * stride : start + (t + 1) * stride + length]
            for x in range(length):
                row[x] = row[x] + weights[t] * kind(one[x]) + weights[t + 1] * kind(other[x])
        if count % 2 == 0:
            last = source[start + (count - 1) * stride : start + (count - 1) * stride + length]
            for x in range(length):
                row[x] += weights[count - 1] * kind(last[x])


@device_function
def _horizontal_gray(row, first, weights, num_taps, target):
    for o in range(len(target)):
        value = row.dtype.type(0.5)
        for t in range(num_taps):
            value += weights[o, t] * row[first[o] + t]
        target[o, 0] = target.dtype.type(value)


@device_function
def span(first, count):
    """The first pixel that is read, and the one after the last."""
    start, stop = np.int64(0), np.int64(0)
    for o in range(len(first)):
        if count[o] > 0:
            start = first[o] if stop == 0 else min(start, first[o])
            stop = max(stop, first[o] + count[o])
    return start, stop


@inlined_function
def _separable(source, begin, stride, window, scale, interpolation, row, target):
    channels, upright = target.shape[2], np.int64(0)  # a literal would have `taps` compiled twice
    interpolation = area_or_pair(window, scale, interpolation)
    first_y, count_y, weights_y = taps(
        window[0], window[2], scale, window[4], window[6], target.shape[0], upright, interpolation, row
    )
    first_x, count_x, weights_x = taps(
        window[1], window[3], scale, window[5], window[7], target.shape[1], window[8], interpolation, row
    )
    start, stop = span(first_x, count_x)
    if stop == 0:
        target[:] = 0
        return
    for x in range(len(first_x)):
        first_x[x] = max(0, first_x[x] - start)  # those that read nothing may begin anywhere
    num_taps = even_taps(first_x, count_x, weights_x, stop - start)
    begin += channels * start
    length, step = channels * (stop - start), np.int64(0)
    for y in range(target.shape[0]):
        if count_y[y] == 0:
            target[y] = 0
            continue
        part = row[step : step + length]
        vertical(source, begin + first_y[y] * stride, stride, count_y[y], weights_y[y], part)
        if channels == 1:
            _horizontal_gray(part, first_x, weights_x, num_taps, target[y])
        elif step == 0 and y + 1 < target.shape[0] and count_y[y + 1] > 0:
            step = length + 1  # the next row goes with this one
        else:
            rows = 1 if step > 0 else 0
            weighted_rows(row, first_x, weights_x, num_taps, target[y - rows], step, rows * 3 * target.shape[1])
            step = np.int64(0)


@inlined_function
def resize_window(parts, source, width, window, scale, interpolation, row, target):
    """Resample a box of an image, and take a part of the outcome; zeros where that reaches beyond it.

    Args:
        parts: int64 (PARTS_LENGTH,), of `parts`; those of `picked_pixels`, and that of `resample` if it is set.
        source: uint8 or uint16, one-dimensional, the image (height, width, C), with C 1 or 3; with `resample`, uint8,
            and C bytes per pixel of whatever dtype.
        width: of the source, in pixels.
        window: int64 (9,): top, left, height, width of the box, inside the image; height and width that it is resized
            to; top and left of the output in what it is resized to, which may be negative; 1 to mirror the output.
        scale: how many times smaller the source is than the image that the box is meant for; 1 unless the box is at
            least so many times larger than what it is resized to, and not by `NEAREST`.
        interpolation: `AREA`, `BILINEAR` or `NEAREST`.
        row: float32 for uint8 and float64 for uint16, overwritten; room for two rows of the box, and a value each.
        target: (H, W, C) of the dtype of `source`, written.
    """
    stride = target.shape[2] * width
    begin = window[0] // scale * stride + target.shape[2] * (window[1] // scale)
    is_copy = window[2] == window[4] and window[3] == window[5]
    if is_copy or interpolation == NEAREST or parts[RESAMPLE] != 0:
        size = source.itemsize
        arguments = (
            source.ctypes.data + begin * size, stride * size, window.ctypes.data, target.ctypes.data, target.shape[0],
            target.shape[1], target.shape[2] * size,
        )  # fmt: skip
        if is_copy or interpolation == NEAREST:
            picked = parts[COPY_WINDOW] if is_copy else parts[NEAREST_WINDOW]
            call_address(picked, arguments)  # type: ignore[call-arg]  # numba adds the typing context
        else:
            call_address(parts[RESAMPLE], (*arguments, interpolation))  # type: ignore[call-arg]
    else:
        _separable(source, begin, stride, window, scale, interpolation, row, target)
