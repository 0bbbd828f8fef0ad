"""Changes of tone that depend on the histogram of each channel: equalize and autocontrast."""

import numpy as np

from ffcv_hydra.kernels.colour.tones import as_level
from ffcv_hydra.kernels.compiling.compilation import device_function


@device_function
def _histograms(source):
    """How often each value occurs in each channel of an image: int64 (C, 256)."""
    height, width, channels = source.shape
    counts = np.zeros((channels, 256), dtype=np.int64)
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                counts[c, source[y, x, c]] += 1
    return counts


@device_function
def _apply_tables(tables, source, target):
    height, width, channels = source.shape
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                target[y, x, c] = tables[c, source[y, x, c]]


@device_function
def _equalizing_table(counts, table):
    """Pillow's scheme (`ImageOps.equalize`): a channel with too few pixels below its largest value stays as it is."""
    largest = 255
    while counts[largest] == 0:
        largest -= 1
    step = (counts.sum() - counts[largest]) // 255
    below = 0
    for value in range(256):
        table[value] = value if step == 0 else min(255, (below + step // 2) // step)
        below += counts[value]


@device_function
def equalize(source, target):
    """Flatten the histogram of each channel of an image, uint8 (H, W, C); `target` may be `source`."""
    counts = _histograms(source)
    tables = np.empty((len(counts), 256), dtype=np.uint8)
    for c in range(len(counts)):
        _equalizing_table(counts[c], tables[c])
    _apply_tables(tables, source, target)


@device_function
def _stretching_table(counts, table):
    """In float32 and by torchvision's order of operations, which decides where a value is cut."""
    smallest, largest = 0, 255
    while counts[smallest] == 0:
        smallest += 1
    while counts[largest] == 0:
        largest -= 1
    scale = np.float32(largest - smallest) * np.float32(1.0 / 255)
    for value in range(256):
        table[value] = value if largest == smallest else as_level(np.float32(value - smallest) / scale)


@device_function
def stretch_contrast(source, target):
    """Stretch each channel of an image, uint8 (H, W, C), to the range from 0 to 255; `target` may be `source`."""
    counts = _histograms(source)
    tables = np.empty((len(counts), 256), dtype=np.uint8)
    for c in range(len(counts)):
        _stretching_table(counts[c], tables[c])
    _apply_tables(tables, source, target)
