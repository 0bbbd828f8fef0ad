"""The last touch to an image that has just been decoded: its values looked up in a table, its channels apart."""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
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


@device_function
def _finish(image, height, width, channels, tables, value_bytes, channels_first, address):
    count, first = height * width * channels, channels_first != 0
    pixels, bits = bytes_at(image, count), array_at(tables, (channels, 256), np.empty(0, dtype=np.uint32))
    if value_bytes == 4:
        _look_up(pixels, height, width, channels, bits, first, array_at(address, (count,), bits))
    elif value_bytes == 2:
        halves = array_at(address, (count,), np.empty(0, dtype=np.uint16))
        _look_up(pixels, height, width, channels, bits, first, halves)
    else:
        _move_bytes(pixels, height, width, channels, first, bytes_at(address, count))


@kernel(types.int64(*[types.int64] * 8))
def finish(image, height, width, channels, tables, value_bytes, channels_first, address):
    """Write one image in its final form.

    Args:
        image: the address of uint8 (height, width, channels).
        tables: the address of uint32 (channels, 256), the bits of each byte's value per channel; unused for bytes.
        value_bytes: of a value of the outcome: 2 or 4; 1 leaves the bytes as they are.
        channels_first: 1 to write (C, H, W), 0 for (H, W, C).
        address: of the outcome, contiguous.

    Returns:
        0.
    """
    _finish(image, height, width, channels, tables, value_bytes, channels_first, address)
    return 0


@image_function
def finish_image(source, target, key, parameters):
    """`finish` in a chain. Parameters: its arguments, less the two addresses of images."""
    values = int64s_at(parameters, 6)
    _finish(source, values[0], values[1], values[2], values[3], values[4], values[5], target)
    return 0
