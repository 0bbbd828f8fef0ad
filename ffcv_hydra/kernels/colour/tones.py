"""Changes of a pixel's value that depend on that value alone, by a table of 256 entries per image.

The tables are computed in float32 and cut to integers as torchvision does for uint8 tensors, so that the pixels are the
same ones.
"""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function


@device_function
def as_level(value):
    """A float cut to an integer level in [0, 255]."""
    return np.uint8(np.int32(min(max(value, np.float32(0)), np.float32(255))))


@device_function
def apply_table(table, source, target):
    """Look every value of an image up; `table` uint8 (256,), images uint8 (H, W, C), which may be the same one."""
    height, width, channels = source.shape
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                target[y, x, c] = table[source[y, x, c]]


@device_function
def blend_with_level(factor, level, source, target):
    """`factor * x + (1 - factor) * level` for every value x of an image; `target` may be `source`.

    The operation behind brightness (level 0) and contrast (level: the mean of the image).
    """
    table = np.empty(256, dtype=np.uint8)
    factor, other = np.float32(factor), np.float32((1.0 - factor) * level)
    for value in range(256):
        table[value] = as_level(factor * np.float32(value) + other)
    apply_table(table, source, target)


@device_function
def solarize(threshold, source, target):
    """Invert the values of at least `threshold`; `target` may be `source`."""
    table = np.empty(256, dtype=np.uint8)
    for value in range(256):
        table[value] = 255 - value if value >= threshold else value
    apply_table(table, source, target)


@device_function
def posterize(bits, source, target):
    """Keep the `bits` highest bits (0 to 8) of every value; `target` may be `source`."""
    mask = (0xFF << (8 - bits)) & 0xFF
    table = np.empty(256, dtype=np.uint8)
    for value in range(256):
        table[value] = value & mask
    apply_table(table, source, target)
