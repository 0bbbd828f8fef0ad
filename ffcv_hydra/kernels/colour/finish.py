"""The last touch to an image that has just been decoded: its values looked up in a table, its channels apart."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.pointers import array_at, bytes_at, int64s_at
from ffcv_hydra.kernels.memory.image_chain import image_function


@device_function
def _move_bytes(image, height, width, channels, channels_first, target):
    pixel_step = np.uint64(1 if channels_first else channels)
    channel_step = np.uint64(height * width if channels_first else 1)
    for y in range(height):
        row = image[y * width * channels : (y + 1) * width * channels]
        for c in range(np.uint64(channels)):
            at = c * channel_step + np.uint64(y * width) * pixel_step
            for x in range(np.uint64(width)):
                target[at + x * pixel_step] = row[x * np.uint64(channels) + c]


@device_function
def _look_up(image, height, width, channels, tables, channels_first, target):
    kind = target.dtype.type
    pixel_step = np.uint64(1 if channels_first else channels)
    channel_step = np.uint64(height * width if channels_first else 1)
    for y in range(height):
        row = image[y * width * channels : (y + 1) * width * channels]
        for c in range(np.uint64(channels)):
            table = tables[c]
            at = c * channel_step + np.uint64(y * width) * pixel_step
            for x in range(np.uint64(width)):
                target[at + x * pixel_step] = kind(table[np.uint64(row[x * np.uint64(channels) + c])])


@image_function
def finish_image(source, target, key, parameters):
    """Write an image in its final form.

    Parameters: height, width and channels, of bytes; the address of uint64 (channels, 256), the bits of each byte's
    value per channel, which are not looked at for bytes; bytes of a value of the outcome: 2, 4 or 8, or 1, which leaves
    the bytes as they are; and 1 to write (C, H, W), 0 for (H, W, C).
    """
    values = int64s_at(parameters, 6)
    height, width, channels, value_bytes, first = values[0], values[1], values[2], values[4], values[5] != 0
    count = height * width * channels
    pixels, bits = bytes_at(source, count), array_at(values[3], (channels, 256), np.empty(0, dtype=np.uint64))
    if value_bytes == 8:
        _look_up(pixels, height, width, channels, bits, first, array_at(target, (count,), bits))
    elif value_bytes == 4:
        words = array_at(target, (count,), np.empty(0, dtype=np.uint32))
        _look_up(pixels, height, width, channels, bits, first, words)
    elif value_bytes == 2:
        halves = array_at(target, (count,), np.empty(0, dtype=np.uint16))
        _look_up(pixels, height, width, channels, bits, first, halves)
    else:
        _move_bytes(pixels, height, width, channels, first, bytes_at(target, count))
    return 0
