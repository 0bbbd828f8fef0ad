"""Decoding of the part of a JPEG that is needed by TurboJPEG, to the very pixels of the whole.

Most JPEGs are decoded by `decoder`. This is for the others. With an index of
restart segments (see `markers`), a small JPEG is put together of the header, with another size, and the segments under
the part; its pixels are those of the whole one except where chroma is interpolated across its borders, so two more
pixels on each side are decoded. Without an index the whole is decoded.
"""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.jpeg.markers import (
    ENTROPY_START,
    HEADER_LENGTH,
    HEIGHT,
    INDEX_ENTROPY_START,
    INDEX_INTERVAL,
    INDEX_LENGTH,
    INDEX_LENGTHS,
    MCU_HEIGHT,
    MCU_WIDTH,
    SIZE_POSITION,
    WIDTH,
    read_baseline,
    segment_length,
)
from ffcv_hydra.kernels.jpeg.turbojpeg import decode_jpeg
from ffcv_hydra.kernels.memory.copies import copy_bytes

CHROMA_MARGIN = 2  # pixels, as scaled, that interpolation of chroma looks beyond the part: a sample of half the size

_int64s = types.Array(types.int64, 1, "C")


@device_function
def _copy_header(data, header, height, width, small):
    """The markers up to the entropy-coded data, with another size; returns how many bytes they are."""
    length = header[ENTROPY_START]
    copy_bytes(small.ctypes.data, data.ctypes.data, length)
    at = header[SIZE_POSITION]
    small[at], small[at + 1] = height >> 8, height & 255
    small[at + 2], small[at + 3] = width >> 8, width & 255
    return length


@device_function
def _copy_segments(data, index, per_row, top, bottom, left, right, small, at):
    """The segments in rows top to bottom and columns left to right, less the last, renumbered, and the end marker."""
    start, segment = index[INDEX_ENTROPY_START], np.int64(0)
    number = 0
    for row in range(bottom):
        for column in range(per_row):
            length = segment_length(data, index, segment)
            if row >= top and left <= column < right:
                if number > 0:
                    small[at], small[at + 1] = 0xFF, 0xD0 + (number - 1) % 8
                    at += 2
                copy_bytes(small.ctypes.data + at, data.ctypes.data + start, length)
                at += length
                number += 1
            start += length + 2
            segment += 1
    small[at], small[at + 1] = 0xFF, 0xD9
    return at + 2


@kernel(
    types.int64(
        types.Array(types.uint8, 1, "C", readonly=True), _int64s, _int64s, _int64s, types.int64,
        types.Array(types.uint8, 1, "C"), _int64s,
    )
)  # fmt: skip
def cut_segments(data, header, index, box, margin, small, region):
    """Put together a JPEG of the segments under a box.

    Args:
        data: uint8 (num_bytes,), a JPEG with an index.
        header, index: of `read_baseline`.
        box: int64 (4,): top, left, bottom, right of what is needed, inside the image.
        margin: how many pixels more are needed on each side.
        small: uint8, as long as `data`, written.
        region: int64 (4,), filled: the part's top, left, height and width, in pixels of the whole image.

    Returns:
        How many bytes are written; none if all of the image is needed.
    """
    height, width = header[HEIGHT], header[WIDTH]
    tile_width, tile_height = header[MCU_WIDTH] * index[INDEX_INTERVAL], header[MCU_HEIGHT]
    per_row = (width + tile_width - 1) // tile_width
    top, left = max(0, box[0] - margin) // tile_height, max(0, box[1] - margin) // tile_width
    bottom = (min(height, box[2] + margin) + tile_height - 1) // tile_height
    right = (min(width, box[3] + margin) + tile_width - 1) // tile_width
    region[0], region[1] = top * tile_height, left * tile_width
    region[2], region[3] = min(height, bottom * tile_height) - region[0], min(width, right * tile_width) - region[1]
    if region[2] == height and region[3] == width:
        return 0
    at = _copy_header(data, header, region[2], region[3], small)
    return _copy_segments(data, index, per_row, top, bottom, left, right, small, at)


def decode_region(
    jpeg: np.ndarray,
    height: int,
    width: int,
    channels: int,
    box: np.ndarray,
    scale: int,
    small: np.ndarray,
    target: np.ndarray,
) -> tuple[int, int, int, int]:
    """Decode at least a box of a JPEG, to RGB or to grayscale.

    Refused is what `decode_jpeg` refuses of the whole, except for damage of segments beside the box: they are not read.

    Args:
        jpeg: uint8 (num_bytes,), with its index if it has one.
        height, width: what the image must have, in pixels.
        channels: 3 for RGB, 1 for grayscale; the JPEG itself may have the other number.
        box: int64 (4,): top, left, bottom, right of what is needed, inside the image.
        scale: 1, 2, 4 or 8: decode at 1 / scale of the size.
        small: uint8, at least as long as `jpeg`, overwritten.
        target: uint8, at least height * width * channels long, written as (rows, columns, channels), as scaled.

    Returns:
        Top, left, height and width of what was decoded, in pixels of the whole image.

    Raises:
        ValueError: what is wrong with it.
    """
    region = np.array([0, 0, height, width])
    header, index = np.empty(HEADER_LENGTH, dtype=np.int64), np.empty(INDEX_LENGTH, dtype=np.int64)
    is_baseline = read_baseline(jpeg.ctypes.data, len(jpeg), header.ctypes.data, index.ctypes.data) == 1
    if is_baseline and index[INDEX_LENGTHS] > 0 and (header[HEIGHT], header[WIDTH]) == (height, width):
        size = cut_segments(jpeg, header, index, box, CHROMA_MARGIN * scale, small, region)
        if size > 0:
            decode_jpeg(small[:size], int(region[2]), int(region[3]), channels, target, scale)
            return tuple(region.tolist())
    decode_jpeg(jpeg, height, width, channels, target, scale)
    return 0, 0, height, width
