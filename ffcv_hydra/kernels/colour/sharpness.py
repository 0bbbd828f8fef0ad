"""Sharpening, and its opposite, by what a small blur takes away."""

import numpy as np

from ffcv_hydra.kernels.colour.tones import as_level
from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.memory.copies import copy_bytes

_THIRTEENTH = 5042  # of 2 ** 16, rounded up: exact for all sums of 13 bytes


@device_function
def adjust_sharpness(factor, source, target):
    """Move an image's values away from those of its blurred version by `factor`.

    The blur is Pillow's `ImageFilter.SMOOTH`: a 3 x 3 mean in which the pixel itself counts five times, rounded. Pixels
    on the border stay as they are, and so do images without any others.

    Args:
        factor: 0 gives the blurred image, 1 the image itself, 2 a sharper one.
        source, target: uint8 (H, W, C), not the same one.
    """
    height, width, channels = source.shape
    length = width * channels
    before, after = source.reshape(height, length), target.reshape(height, length)
    first, to = np.int64(source.ctypes.data), np.int64(target.ctypes.data)
    if height < 3 or width < 3:
        copy_bytes(to, first, height * length)
        return
    copy_bytes(to, first, length)
    copy_bytes(to + (height - 1) * length, first + (height - 1) * length, length)
    blurred_share, columns = np.float32(1.0 - factor), np.empty(length, dtype=np.uint16)
    for y in range(1, height - 1):
        above, middle, below, written = before[y - 1], before[y], before[y + 1], after[y]
        for x in range(length):
            columns[x] = np.uint16(above[x]) + np.uint16(middle[x]) + np.uint16(below[x])
        around, right = columns[channels:], columns[2 * channels :]
        pixels, sharpened = middle[channels:], written[channels:]
        for x in range(length - 2 * channels):
            # each step cut to its type, or LLVM has it in 64 bits
            total = np.uint16(columns[x] + around[x] + right[x] + 4 * np.uint16(pixels[x]) + 6)
            blurred = np.uint16((np.uint32(total) * np.uint32(_THIRTEENTH)) >> 16)
            difference = np.float32(np.int32(np.int32(blurred) - np.int32(pixels[x])))
            sharpened[x] = as_level(np.float32(pixels[x]) + blurred_share * difference)
        for c in range(channels):
            written[c], written[length - 1 - c] = middle[c], middle[length - 1 - c]
