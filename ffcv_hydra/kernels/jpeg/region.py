"""Decoding of the part of a JPEG that is needed, to the very pixels of the whole.

Most JPEGs are decoded by `jpeg_decoder`. This is for the others, and for those that are shrunk on the way. With an
index of restart segments (see `jpeg_markers`), a small JPEG is put together of the header, with another size, and
the segments under the part; its pixels are those of the whole one except where chroma is interpolated across its
borders, so two more pixels on each side are decoded. Without an index, a baseline JPEG is decoded down to the part's
last row: a smaller height in the header does that.
"""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.compiling.pointers import bytes_at, call_address, int64s_at
from ffcv_hydra.kernels.jpeg import turbojpeg as jpeg
from ffcv_hydra.kernels.jpeg.bits import unstuff
from ffcv_hydra.kernels.jpeg.decoder import PLAIN_SLACK_BYTES
from ffcv_hydra.kernels.jpeg.markers import (
    ENTROPY_START,
    EOI,
    HEADER_LENGTH,
    HEIGHT,
    INDEX_ENTROPY_START,
    INDEX_INTERVAL,
    INDEX_LENGTH,
    INDEX_LENGTHS,
    MCU_HEIGHT,
    MCU_WIDTH,
    RESTART_INTERVAL,
    SIZE_POSITION,
    WIDTH,
    segment_length,
)
from ffcv_hydra.kernels.jpeg.turbojpeg import decode_jpeg, ended_early
from ffcv_hydra.kernels.memory.copies import copy_bytes
from ffcv_hydra.kernels.memory.parts import DECOMPRESSOR, PARTS_LENGTH, READ_BASELINE, SMALL

jpeg.register()

CHROMA_MARGIN = 2  # pixels, as scaled, that interpolation of chroma looks beyond the part: a sample of half the size

# what `decode_region` fills in
REGION_LENGTH = 3
REGION_TOP, REGION_LEFT, REGION_WIDTH = range(REGION_LENGTH)

# how much longer than what is stored a small JPEG may be, or what is read of it
EXTRA_BYTES = PLAIN_SLACK_BYTES


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


@device_function
def _decode_segments(handle, data, header, index, box, channels, scale, small, target, region):
    height, width = header[HEIGHT], header[WIDTH]
    tile_width, tile_height = header[MCU_WIDTH] * index[INDEX_INTERVAL], header[MCU_HEIGHT]
    per_row = (width + tile_width - 1) // tile_width
    margin = CHROMA_MARGIN * scale
    top, left = max(0, box[0] - margin) // tile_height, max(0, box[1] - margin) // tile_width
    bottom = (min(height, box[2] + margin) + tile_height - 1) // tile_height
    right = (min(width, box[3] + margin) + tile_width - 1) // tile_width
    region[REGION_TOP], region[REGION_LEFT] = top * tile_height, left * tile_width
    part_height = min(height, bottom * tile_height) - region[REGION_TOP]
    part_width = min(width, right * tile_width) - region[REGION_LEFT]
    if part_height == height and part_width == width:
        return decode_jpeg(handle, data.ctypes.data, len(data), height, width, channels, scale, target)
    region[REGION_WIDTH] = (part_width + scale - 1) // scale
    at = _copy_header(data, header, part_height, part_width, small)
    size = _copy_segments(data, index, per_row, top, bottom, left, right, small, at)
    return decode_jpeg(handle, small.ctypes.data, size, part_height, part_width, channels, scale, target)


@device_function
def _decode_rows(handle, data, header, bottom, channels, scale, small, target):
    size = len(data)
    end, _ = unstuff(data, header[ENTROPY_START], size, small)
    if end < 0 or data[end + 1] != EOI:  # what follows may matter, be it only for a complaint
        return decode_jpeg(handle, data.ctypes.data, size, header[HEIGHT], header[WIDTH], channels, scale, target)
    at = _copy_header(data, header, bottom, header[WIDTH], small)
    copy_bytes(small.ctypes.data + at, data.ctypes.data + at, size - at)
    status = decode_jpeg(handle, small.ctypes.data, size, bottom, header[WIDTH], channels, scale, target)
    # what follows the last row is all that TurboJPEG may complain of
    return 0 if status == 0 or ended_early(handle, small) else status


@kernel(types.int64(*[types.int64] * 10))
def decode_region(parts, address, size, height, width, channels, box, scale, target, region):
    """Decode at least a box of a JPEG by TurboJPEG, to RGB or to grayscale.

    Refused is what `decode_jpeg` refuses of the whole, except for damage of entropy-coded data beside the box: it is
    not read, or read only up to its end.

    Args:
        parts: the address of int64 (PARTS_LENGTH,).
        address, size: of the JPEG, with its index if it has one, in bytes.
        height, width: what the image must have, in pixels.
        channels: 3 for RGB, 1 for grayscale; the JPEG itself may have the other number.
        box: the address of int64 (4,): top, left, bottom, right of what is needed, inside the image.
        scale: 1, 2, 4 or 8: decode at 1 / scale of the size.
        target: the address of at least height * width * channels bytes, written as uint8 (rows, width as scaled,
            channels).
        region: the address of int64 (REGION_LENGTH,), filled: where the decoded part begins, in pixels of the whole
            image, and how wide it is, as scaled.

    Returns:
        0, or 1 if TurboJPEG complained, or 2 if the image has another size.
    """
    tools = int64s_at(parts, PARTS_LENGTH)
    handle, small = tools[DECOMPRESSOR], tools[SMALL]
    data, part = bytes_at(address, size), bytes_at(small, size + EXTRA_BYTES)
    wanted, decoded = int64s_at(box, 4), int64s_at(region, REGION_LENGTH)
    decoded[REGION_TOP] = decoded[REGION_LEFT] = 0
    decoded[REGION_WIDTH] = (width + scale - 1) // scale
    header, index = np.empty(HEADER_LENGTH, dtype=np.int64), np.empty(INDEX_LENGTH, dtype=np.int64)
    found = (address, size, header.ctypes.data, index.ctypes.data)
    is_baseline: bool = call_address(tools[READ_BASELINE], found) == 1  # type: ignore[call-arg]  # numba adds a context
    if not is_baseline or header[WIDTH] != width or header[HEIGHT] != height:
        return decode_jpeg(handle, address, size, height, width, channels, scale, target)
    if index[INDEX_LENGTHS] > 0:
        return _decode_segments(handle, data, header, index, wanted, channels, scale, part, target, decoded)
    tile_height = header[MCU_HEIGHT]
    bottom = (wanted[2] + CHROMA_MARGIN * scale + tile_height - 1) // tile_height * tile_height
    if bottom < height and header[RESTART_INTERVAL] == 0:
        return _decode_rows(handle, data, header, bottom, channels, scale, part, target)
    return decode_jpeg(handle, address, size, height, width, channels, scale, target)
