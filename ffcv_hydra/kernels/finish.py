"""The last touch to an image that has just been decoded: its values looked up in a table, its channels apart."""

import numpy as np

from ffcv_hydra.kernels.compilation import device_function
from ffcv_hydra.kernels.pointers import array_at


@device_function
def _move_bytes(image, channels_first, target):
    height, width, channels = image.shape
    pixel_step = np.uint64(1 if channels_first else channels)
    channel_step = np.uint64(height * width if channels_first else 1)
    for y in range(height):
        row = image[y].reshape(width * channels)
        for c in range(np.uint64(channels)):
            at = c * channel_step + np.uint64(y * width) * pixel_step
            for x in range(np.uint64(width)):
                target[at + x * pixel_step] = row[x * np.uint64(channels) + c]


@device_function
def _look_up(image, tables, channels_first, target):
    height, width, channels = image.shape
    kind = target.dtype.type
    pixel_step = np.uint64(1 if channels_first else channels)
    channel_step = np.uint64(height * width if channels_first else 1)
    for y in range(height):
        row = image[y].reshape(width * channels)
        for c in range(np.uint64(channels)):
            table = tables[c]
            at = c * channel_step + np.uint64(y * width) * pixel_step
            for x in range(np.uint64(width)):
                target[at + x * pixel_step] = kind(table[np.uint64(row[x * np.uint64(channels) + c])])


@device_function
def finish(image, tables, value_bytes, channels_first, address):
    """Write one image in its final form.

    Args:
        image: uint8 (H, W, C), contiguous.
        tables: uint32 (C, 256), the bits of each byte's value per channel; unused for bytes.
        value_bytes: of a value of the outcome: 2 or 4; 1 leaves the bytes as they are.
        channels_first: write (C, H, W), or (H, W, C).
        address: of the outcome, contiguous.
    """
    shape = (image.size,)
    if value_bytes == 4:
        _look_up(image, tables, channels_first, array_at(address, shape, tables))
    elif value_bytes == 2:
        _look_up(image, tables, channels_first, array_at(address, shape, np.empty(0, dtype=np.uint16)))
    else:
        _move_bytes(image, channels_first, array_at(address, shape, np.empty(0, dtype=np.uint8)))
