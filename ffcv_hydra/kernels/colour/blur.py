"""Gaussian blur in 16-bit lanes, one axis after the other, a row at a time while it is in the processor's cache."""

import numpy as np

from ffcv_hydra.kernels.colour.symmetric_sums import LANES, symmetric_sums, symmetric_sums_as_bytes
from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.memory.copies import copy_bytes

# Taps are left out from the ends of a window while all of them have less than this share of its weight: they move no
# value by more than an eighth of a level, and for a small sigma most of a large window is such taps.
_NEGLIGIBLE = 2.0**-11

_ALIGNED = 64  # bytes; vectors of so many that lie across two such parts of memory are loaded in twice the time


@device_function
def _gaussian_weights(size, sigma):
    """Weights of the middle tap and of each pair of taps around it, in an odd window of at most `size` pixels.

    Returns:
        uint16 (1 + pairs,), in units of 2 ** -16, of which they sum up to 1.
    """
    pairs, total = size // 2, 1.0
    weights = np.empty(pairs + 1)
    for t in range(1, pairs + 1):
        weights[t] = 2 * np.exp(-0.5 * (t / sigma) ** 2)
        total += weights[t]
    kept, least = total, (1 - _NEGLIGIBLE) * total
    while pairs > 0 and kept - weights[pairs] > least:
        kept -= weights[pairs]
        pairs -= 1
    units = np.empty(pairs + 1, dtype=np.uint16)
    middle = 1 << 16
    for t in range(1, pairs + 1):
        units[t] = min(np.int64(np.rint(weights[t] / kept * (1 << 16))), middle)  # many that are rounded up pass 1
        middle -= units[t]
    units[0] = min(middle, 0xFFFF)
    return units


@device_function
def mirrored(position, size):
    """A position outside of an axis, mirrored at its first or last pixel (which is not repeated)."""
    if position < 0:
        return -position
    if position >= size:
        return 2 * (size - 1) - position
    return position


@device_function
def _widen(line, row, pairs, channels):
    """Bytes as the upper halves of uint16, from `pairs` pixels behind the beginning of `row`; mirrored at both ends."""
    begin, length = pairs * channels, len(line)
    inside = row[begin:]
    for x in range(length):
        inside[x] = np.uint16(line[x]) << 8
    for x in range(pairs):
        for c in range(channels):
            row[x * channels + c] = row[2 * begin - x * channels + c]
            row[begin + length + x * channels + c] = row[begin + length - (x + 2) * channels + c]


@device_function
def gaussian_blur(window_height, window_width, sigma, source, target):
    """Blur an image; beyond its border it is mirrored.

    Sums have 8 bits behind the point, and half a unit is added for each product of which a part was cut off.

    Args:
        window_height, window_width: odd, in pixels; half of each is less than the image's height and width.
        sigma: standard deviation in pixels, above 0.
        source, target: uint8 (H, W, C), which may be the same one: rows are read before one is written.
    """
    height, width, channels = source.shape
    length = width * channels
    before = source.reshape(height, length)
    vertical, horizontal = _gaussian_weights(window_height, sigma), _gaussian_weights(window_width, sigma)
    pairs_y, pairs_x = len(vertical) - 1, len(horizontal) - 1
    padded, slots = -(-length // LANES) * LANES, 2 * pairs_y + 1
    row = np.empty(padded + 2 * pairs_x * channels, dtype=np.uint16)
    lines = np.empty(slots * padded + _ALIGNED // 2, dtype=np.uint16)
    across, down = np.empty(2 * pairs_x + 1, dtype=np.int64), np.empty(slots, dtype=np.int64)
    blurred, num_lines = np.empty(padded, dtype=np.uint8), 0
    for t in range(pairs_x + 1):
        middle, distance = np.int64(row.ctypes.data) + 2 * pairs_x * channels, 2 * t * channels
        across[max(2 * t - 1, 0)], across[2 * t] = middle - distance, middle + distance
    for y in range(height):
        # addresses of arrays that have a use in a loop, and so are there until it ends
        first_line, result = -(-np.int64(lines.ctypes.data) // _ALIGNED) * _ALIGNED, np.int64(blurred.ctypes.data)
        rows_x, weights_x = np.int64(across.ctypes.data), np.int64(horizontal.ctypes.data)
        rows_y, weights_y = np.int64(down.ctypes.data), np.int64(vertical.ctypes.data)
        for line in range(num_lines, min(height, y + pairs_y + 1)):
            _widen(before[line], row, pairs_x, channels)
            to = first_line + 2 * padded * (line % slots)
            for x in range(0, padded, LANES):
                symmetric_sums(rows_x, 2 * x, weights_x, pairs_x, pairs_x // 2, to + 2 * x)
            num_lines = line + 1
        for t in range(pairs_y + 1):
            down[max(2 * t - 1, 0)] = first_line + 2 * padded * (mirrored(y - t, height) % slots)
            down[2 * t] = first_line + 2 * padded * (mirrored(y + t, height) % slots)
        for x in range(0, padded, LANES):
            symmetric_sums_as_bytes(rows_y, 2 * x, weights_y, pairs_y, pairs_y // 2 + 128, result + x)
        copy_bytes(np.int64(target.ctypes.data) + y * length, result, length)
