"""Resampling of a crop of an RGB image to another size: area average where it shrinks, bilinear where it grows.

Each axis on its own: when shrinking, an output pixel is the mean of the input it covers (as OpenCV's INTER_AREA, within
one level of it); when growing, linear interpolation between pixel centres (as INTER_LINEAR). The vertical pass goes
first, over whole rows, because LLVM vectorises it.
"""

import numpy as np

from ffcv_hydra.kernels.compilation import device_function


@device_function
def _taps(source_size, target_size):
    """Where each output pixel starts to read, how many pixels it reads, and their weights (they sum to 1)."""
    step = source_size / target_size
    most = int(np.ceil(step)) + 1
    if most < 2:
        most = 2
    first = np.empty(target_size, dtype=np.int64)
    count = np.empty(target_size, dtype=np.int64)
    weights = np.zeros((target_size, most), dtype=np.float32)
    for o in range(target_size):
        if source_size > target_size:
            begin, end = o * step, (o + 1) * step
            first[o] = int(begin)
            last = min(source_size, int(np.ceil(end - 1e-9)))
            count[o] = last - first[o]
            for t in range(count[o]):
                pixel = first[o] + t
                weights[o, t] = (min(end, pixel + 1.0) - max(begin, float(pixel))) / step
        else:
            centre = max(0.0, (o + 0.5) * step - 0.5)
            first[o] = min(int(centre), source_size - 1)
            count[o] = 2 if first[o] + 1 < source_size else 1
            fraction = centre - first[o] if count[o] == 2 else 0.0
            weights[o, 0] = 1.0 - fraction
            if count[o] == 2:
                weights[o, 1] = fraction
    return first, count, weights


@device_function
def _vertical(source, offset, stride, first, count, weights, row):
    """One output row before the horizontal pass: the weighted sum of `count` input rows, float32 (width * 3,)."""
    start = offset + first * stride
    weight = weights[0]
    for x in range(len(row)):
        row[x] = weight * np.float32(source[start + x])
    for t in range(1, count):
        start += stride
        weight = weights[t]
        for x in range(len(row)):
            row[x] += weight * np.float32(source[start + x])


@device_function
def _horizontal(row, first, count, weights, target):
    half = np.float32(0.5)
    for o in range(len(target)):
        r = g = b = half
        x = 3 * first[o]
        for t in range(count[o]):
            weight = weights[o, t]
            r += weight * row[x]
            g += weight * row[x + 1]
            b += weight * row[x + 2]
            x += 3
        target[o, 0] = np.uint8(r)
        target[o, 1] = np.uint8(g)
        target[o, 2] = np.uint8(b)


@device_function
def resize_crop(source, offset, width, top, left, crop_height, crop_width, target):
    """Resample one crop of one image.

    Args:
        source: uint8, one-dimensional; the image is (height, width, 3) from `offset` on.
        width: of the whole image, in pixels.
        top, left, crop_height, crop_width: the crop, inside the image.
        target: uint8 (H, W, 3), written.
    """
    height_out, width_out = target.shape[0], target.shape[1]
    stride = 3 * width
    begin = offset + top * stride + 3 * left
    if crop_height == height_out and crop_width == width_out:
        for y in range(height_out):
            for x in range(width_out):
                for c in range(3):
                    target[y, x, c] = source[begin + y * stride + 3 * x + c]
        return
    first_y, count_y, weights_y = _taps(crop_height, height_out)
    first_x, count_x, weights_x = _taps(crop_width, width_out)
    row = np.empty(3 * crop_width, dtype=np.float32)
    for y in range(height_out):
        _vertical(source, begin, stride, first_y[y], count_y[y], weights_y[y], row)
        _horizontal(row, first_x, count_x, weights_x, target[y])
