"""Which pixels of one axis make each output pixel, and with what weights."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function

AREA, BILINEAR, NEAREST = 0, 1, 2
_PAIR = 3  # what `AREA` is where an axis grows


@device_function
def _area(position, step, origin, limit, weights):
    """The mean of what the output pixel covers, as OpenCV's INTER_AREA; returns the first pixel and how many."""
    begin, end = origin + position * step, origin + (position + 1) * step
    first = int(begin)
    count = min(limit, int(np.ceil(end - 1e-9))) - first
    for t in range(count):
        pixel = first + t
        weights[t] = (min(end, pixel + 1.0) - max(begin, float(pixel))) / step
    return first, count


@device_function
def _pair(position, size, resized_size, weights):
    """What INTER_AREA is on both axes as soon as one of them grows: the first pixel that the output pixel covers, by
    the share that it covers of it, and for all the rest the next one.

    On an axis that grows this is the mean of what is covered. The operations in floating point are OpenCV's, in its
    order: whether an output pixel begins at a pixel's edge or just before decides which pixel it shows.
    """
    growth = resized_size / size
    first = int(np.floor(position * (1.0 / growth)))
    rest = np.float32((position + 1) - (first + 1) * growth)
    rest = rest - np.floor(rest) if rest > 0 else np.float32(0)
    if first >= size - 1 or rest == 0:
        weights[0] = 1.0
        return min(first, size - 1), 1
    weights[0], weights[1] = 1.0 - rest, rest
    return first, 2


@device_function
def area_or_pair(window, scale, interpolation):
    """The interpolation for `taps`, of the one that is asked for and both axes of a window."""
    grows = scale == 1 and (window[2] < window[4] or window[3] < window[5])
    return _PAIR if grows and interpolation == AREA else interpolation


@device_function
def _triangle(position, step, origin, limit, weights):
    """A triangle as wide as two output pixels, cut off and scaled up at the edges, as torch's antialiased bilinear."""
    centre = origin + (position + 0.5) * step
    first = max(0, int(centre - step + 0.5))
    count = min(limit, int(centre + step + 0.5)) - first
    total = 0.0
    for t in range(count):
        total += max(0.0, 1.0 - abs(first + t + 0.5 - centre) / step)
    for t in range(count):
        weights[t] = max(0.0, 1.0 - abs(first + t + 0.5 - centre) / step) / total
    return first, count


@device_function
def _linear(position, step, size, weights):
    """Between the two nearest pixel centres; the outermost pixel beyond the outermost centre."""
    centre = max(0.0, (position + 0.5) * step - 0.5)
    first = min(int(centre), size - 1)
    if first + 1 == size:
        weights[0] = 1.0
        return first, 1
    weights[0] = 1.0 - (centre - first)
    weights[1] = centre - first
    return first, 2


@device_function
def taps(begin, size, scale, resized_size, offset, target_size, mirrored, interpolation, like):
    """Where each output pixel starts to read, how many pixels it reads, and their weights (they sum to 1).

    Args:
        begin, size: of the part of the source, in pixels of the image before it was decoded at 1 / `scale` of its size.
        scale: 1, or how many times smaller the source is than the image; then it is never enlarged.
        resized_size: what the part is resized to.
        offset: which pixel of the resized axis is the first of the output; may be negative.
        target_size: of the output. Pixels outside the resized axis read nothing: their count is 0.
        mirrored: 1 if the output's first pixel comes last, or 0.
        interpolation: of `area_or_pair`.
        like: an array of the dtype that the weights get.

    Returns:
        int64 (target_size,), int64 (target_size,), and floating (target_size, most); the first pixels are counted from
        pixel `begin // scale` of the source.
    """
    step = size / scale / resized_size
    origin = (begin % scale) / scale
    limit = (begin + size + scale - 1) // scale - begin // scale
    most = 2 * int(np.ceil(step)) + 1 if interpolation == BILINEAR else int(np.ceil(step)) + 1
    first = np.zeros(target_size, dtype=np.int64)
    count = np.zeros(target_size, dtype=np.int64)
    weights = np.zeros((target_size, max(2, most)), dtype=like.dtype)
    for o in range(max(0, -offset), min(target_size, resized_size - offset)):
        position = o + offset
        at = o if mirrored == 0 else target_size - 1 - o
        if interpolation == _PAIR:
            first[at], count[at] = _pair(position, size, resized_size, weights[at])
        elif interpolation == AREA:
            first[at], count[at] = _area(position, step, origin, limit, weights[at])
        elif scale == 1 and size <= resized_size:
            first[at], count[at] = _linear(position, step, size, weights[at])
        else:
            first[at], count[at] = _triangle(position, step, origin, limit, weights[at])
    return first, count, weights


@device_function
def nearest_pixel(position, size, resized_size):
    """The pixel at the centre of pixel `position` of an axis that is resized from one size to another; -1 outside.

    As torch's `nearest-exact` and Pillow, so that a mask stays on its image; torch's `nearest` is half a pixel off.
    torch computes in float32, so this does.
    """
    if position < 0 or position >= resized_size:
        return np.int64(-1)
    step = np.float32(size) / np.float32(resized_size)
    pixel = np.int64((np.float32(position) + np.float32(0.5)) * step)
    return pixel if pixel < size else size - 1
