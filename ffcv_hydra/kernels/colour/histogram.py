"""Changes of tone that depend on the histogram of each channel: equalize and autocontrast."""

import numpy as np

from ffcv_hydra.kernels.colour.tones import as_level
from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.pointers import store_uint64, uint64_at
from ffcv_hydra.kernels.memory.copies import copy_bytes

_WORD = 8  # bytes that are loaded and stored at once
_WORDS = 3  # the same place in each three words is the same channel of 1, 2, 3 or 4
_PLACES = _WORDS * _WORD


@device_function
def _num_in_words(values, channels):
    """How many values, from the first one on, are in threes of words."""
    return len(values) // _PLACES * _PLACES if _PLACES % channels == 0 else 0


@device_function
def _histograms(source):
    """How often each value occurs in each channel of an image: uint32 (C, 256).

    Each byte of three words is counted in a table of its own: in one for all, a step would wait for the one before it
    where values repeat.
    """
    pixels, channels = source.reshape(-1), source.shape[2]
    address, whole = np.int64(source.ctypes.data), _num_in_words(pixels, channels)
    counts = np.zeros((max(_PLACES, channels), 256), dtype=np.uint32)
    for begin in range(0, whole, _PLACES):
        for word in range(_WORDS):
            value = uint64_at(address + begin + _WORD * word)
            for byte in range(_WORD):
                counts[_WORD * word + byte, value >> np.uint64(8 * byte) & np.uint64(0xFF)] += np.uint32(1)
    for i in range(whole, len(pixels)):
        counts[i % channels, pixels[i]] += np.uint32(1)
    for place in range(channels, _PLACES):
        for value in range(256):
            counts[place % channels, value] += counts[place, value]
    return counts[:channels]


@device_function
def _apply_tables(tables, source, target):
    """Look values up, uint8 (C, 256)."""
    before, after, channels = source.reshape(-1), target.reshape(-1), source.shape[2]
    first, to = np.int64(source.ctypes.data), np.int64(target.ctypes.data)
    whole, places = _num_in_words(before, channels), np.empty((_PLACES, 256), dtype=np.uint8)
    for place in range(_PLACES):
        for value in range(256):
            places[place, value] = tables[place % channels, value]
    for begin in range(0, whole, _PLACES):
        for word in range(_WORDS):
            value, outcome = uint64_at(first + begin + _WORD * word), np.uint64(0)
            for byte in range(_WORD):
                level = places[_WORD * word + byte, value >> np.uint64(8 * byte) & np.uint64(0xFF)]
                outcome |= np.uint64(level) << np.uint64(8 * byte)
            store_uint64(to + begin + _WORD * word, outcome)  # type: ignore[call-arg]
    for i in range(whole, len(before)):
        after[i] = tables[i % channels, before[i]]


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
def stretch_contrast(source, target):
    """Stretch each channel of an image, uint8 (H, W, C), to the range from 0 to 255; `target` may be `source`.

    In float32 and by torchvision's order of operations, which decides where a value is cut.
    """
    height, width, channels = source.shape
    length = width * channels
    before = source.reshape(height, length)
    smallest, largest = np.full(length, 255, dtype=np.uint8), np.zeros(length, dtype=np.uint8)
    for y in range(height):
        line = before[y]
        for x in range(length):
            smallest[x] = min(smallest[x], line[x])
        for x in range(length):
            largest[x] = max(largest[x], line[x])
    low, scale = np.empty(length, dtype=np.float32), np.empty(length, dtype=np.float32)
    for c in range(channels):
        least, most = smallest[c::channels].min(), largest[c::channels].max()
        low[c::channels] = np.float32(least if most > least else 0)
        scale[c::channels] = np.float32(most - least) * np.float32(1.0 / 255) if most > least else np.float32(1)
    stretched = np.empty(length, dtype=np.uint8)  # LLVM vectorises no loop that writes what it reads
    for y in range(height):
        line = before[y]
        for x in range(length):
            stretched[x] = as_level((np.float32(line[x]) - low[x]) / scale[x])
        copy_bytes(target.ctypes.data + y * length, stretched.ctypes.data, length)
