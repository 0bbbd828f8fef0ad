"""Gaussian blur, one axis after the other, over whole rows, which LLVM vectorises."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function

# Taps with less than this share of the middle one's weight are left out: together they move no value by more than 0.002
# levels, and for a small sigma most of a large window is such taps.
_NEGLIGIBLE = 1e-6


@device_function
def _gaussian_taps(size, sigma):
    """Weights of an odd window of at most `size` pixels, float32; they sum to 1."""
    radius = size // 2
    while radius > 0 and np.exp(-0.5 * (radius / sigma) ** 2) < _NEGLIGIBLE:
        radius -= 1
    weights = np.empty(2 * radius + 1, dtype=np.float64)
    for t in range(len(weights)):
        weights[t] = np.exp(-0.5 * ((t - radius) / sigma) ** 2)
    return (weights / weights.sum()).astype(np.float32)


@device_function
def _mirrored(position, size):
    """A position outside of an axis, mirrored at its first or last pixel (which is not repeated)."""
    if position < 0:
        return -position
    if position >= size:
        return 2 * (size - 1) - position
    return position


@device_function
def _mirror_ends(row, radius, width, channels):
    """Fill the first and last `radius` pixels of a row, float32, from those inside."""
    for x in range(radius):
        for c in range(channels):
            row[x * channels + c] = row[(2 * radius - x) * channels + c]
            row[(radius + width + x) * channels + c] = row[(radius + width - 2 - x) * channels + c]


@device_function
def gaussian_blur(window_height, window_width, sigma, source, target):
    """Blur an image; beyond its border it is mirrored.

    Args:
        window_height, window_width: odd, in pixels; half of each is less than the image's height and width.
        sigma: standard deviation in pixels, above 0.
        source, target: uint8 (H, W, C), not the same one.
    """
    height, width, channels = source.shape
    length = width * channels
    before, after = source.reshape(height, length), target.reshape(height, length)
    vertical, horizontal = _gaussian_taps(window_height, sigma), _gaussian_taps(window_width, sigma)
    radius_y, radius_x = len(vertical) // 2, len(horizontal) // 2
    row = np.empty(length + 2 * radius_x * channels, dtype=np.float32)
    inside = row[radius_x * channels : radius_x * channels + length]
    sums = np.empty(length, dtype=np.float32)
    for y in range(height):
        inside[:] = np.float32(0)
        for t in range(len(vertical)):
            weight, line = vertical[t], before[_mirrored(y + t - radius_y, height)]
            for x in range(length):
                inside[x] += weight * np.float32(line[x])
        _mirror_ends(row, radius_x, width, channels)
        sums[:] = np.float32(0.5)
        for t in range(len(horizontal)):
            weight, shifted = horizontal[t], row[t * channels :]
            for x in range(length):
                sums[x] += weight * shifted[x]
        for x in range(length):
            after[y, x] = np.uint8(np.int32(sums[x]))
