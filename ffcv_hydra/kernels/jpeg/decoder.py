"""Decoding of a box of a baseline JPEG, one row of MCUs after the other, to the pixels that TurboJPEG makes of it.

Only MCUs that the box covers are transformed, only its pixels are converted, and restart segments beside it are not
read. What is not plain (other sampling factors, odd markers, anything that is wrong) is left to TurboJPEG, which also
says what is wrong with it (see `region`): this code either gives its pixels or none (smaller ones of damaged
bits that can still be decoded may be others than TurboJPEG's).
"""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, inlined_function, innermost_function, kernel
from ffcv_hydra.kernels.compiling.pointers import bytes_at, call_address, int64s_at
from ffcv_hydra.kernels.jpeg.bits import SLACK_BYTES, unstuff
from ffcv_hydra.kernels.jpeg.blocks import (
    AC,
    AT,
    BLOCK_LENGTH,
    BLOCKS_BYTES,
    COEFFICIENTS_AT,
    COMPONENT,
    DC,
    PAIRS_OF_AC,
    list_blocks,
    transform,
)
from ffcv_hydra.kernels.jpeg.entropy import BLOCK_SLOTS, begin_bits, read_block
from ffcv_hydra.kernels.jpeg.huffman import MAX_BLOCK_BYTES
from ffcv_hydra.kernels.jpeg.markers import (
    COMPONENT_FIELDS,
    COMPONENTS,
    ENTROPY_START,
    EOI,
    FIRST_COMPONENT,
    HEADER_LENGTH,
    HEIGHT,
    INDEX_LENGTH,
    INDEX_LENGTHS,
    MAX_BLOCKS,
    MAX_COMPONENTS,
    MAX_H,
    MAX_V,
    MCU_HEIGHT,
    MCU_WIDTH,
    RESTART_INTERVAL,
    RST0,
    WIDTH,
    num_mcus,
    segment_length,
)
from ffcv_hydra.kernels.jpeg.strip import (
    BOTTOM,
    END_COLUMN,
    FIRST_COLUMN,
    FIRST_ROW,
    LEFT,
    RIGHT,
    STRIP_LENGTH,
    TOP,
    lay_out,
    place_planes,
    show_rows,
    strip_bytes,
)
from ffcv_hydra.kernels.memory.copies import zero_bytes
from ffcv_hydra.kernels.memory.parts import PARTS_LENGTH, PREPARE_TABLES, READ_BASELINE, REDUCE, SMALL, TABLES

EXTRA_BYTES = SLACK_BYTES + (MAX_BLOCKS + 1) * MAX_BLOCK_BYTES  # that reading may touch behind a segment

# what `decode_box` fills in
REGION_LENGTH = 3
REGION_TOP, REGION_LEFT, REGION_WIDTH = range(REGION_LENGTH)


@device_function
def _is_plain(header, channels, scale):
    """Whether sampling factors and channels are among those that this code knows."""
    if header[COMPONENTS] == 1:
        return True
    if header[COMPONENTS] != 3 or channels != 3 or header[MAX_V] > header[MAX_H] or header[MAX_H] > 2:
        return False
    if scale == 1 and header[MAX_H] == 2 and header[WIDTH] <= 4:  # libjpeg interpolates no less than three samples
        return False
    if scale > 1 and header[MAX_H] != header[MAX_V]:  # only then is chroma transformed to the size of luma
        return False
    for c in range(3):
        at = FIRST_COMPONENT + COMPONENT_FIELDS * c
        h, v = (header[MAX_H], header[MAX_V]) if c == 0 else (1, 1)
        if header[at] != h or header[at + 1] != v:
            return False
    return True


@device_function
def _scale_header(header, scale):
    """Have the sizes of an image decoded `scale` times smaller, where all components are of one size."""
    for i in (HEIGHT, WIDTH):
        header[i] = (header[i] + scale - 1) // scale
    for i in (MCU_HEIGHT, MCU_WIDTH):
        header[i] //= scale
    header[MAX_H] = header[MAX_V] = 1


@innermost_function
def _read_mcu(reader, blocks, count, predictions):
    """The reader behind an MCU, and whether it is one; its coefficients are where `blocks` says."""
    is_good = True
    for b in range(count):
        component = blocks[b, COMPONENT]
        reader, predictions[component], is_block = read_block(
            reader, predictions[component], blocks[b, DC], blocks[b, AC], blocks[b, PAIRS_OF_AC], blocks[b, AT]
        )
        is_good &= is_block
    return reader, is_good


@innermost_function
def _position(reader):
    """Where the next bit is, as an address times 8."""
    return 8 * reader[0] - np.int64(reader[2])


@innermost_function
def _is_needed(strip, row, column):
    return strip[TOP] <= row < strip[BOTTOM] and strip[LEFT] <= column < strip[RIGHT]


@device_function
def _touches(strip, first, last, per_row):
    """Whether an MCU between two, both included, is needed."""
    top, bottom = first // per_row, last // per_row
    if top == bottom:
        return strip[TOP] <= top < strip[BOTTOM] and first % per_row < strip[RIGHT] and last % per_row >= strip[LEFT]
    return top < strip[BOTTOM] and bottom >= strip[TOP]


@inlined_function
def _read_segment(
    tools, header, strip, blocks, count, memory, scale, first, last, per_row, plain, length, channels, target
):
    """Read the MCUs from `first` to `last`, or up to the last one that is needed; whether all is well."""
    start, coefficients = np.int64(plain.ctypes.data), np.int64(memory.ctypes.data) + COEFFICIENTS_AT
    reader, predictions = begin_bits(start), np.empty(MAX_COMPONENTS, dtype=np.int64)
    zero_bytes(predictions.ctypes.data, 8 * MAX_COMPONENTS)
    row, column = first // per_row, first % per_row
    for m in range(first, last + 1):
        reader, is_good = _read_mcu(reader, blocks, count, predictions)
        if not is_good or _position(reader) > 8 * (start + length):
            return False
        if _is_needed(strip, row, column):
            if scale == 1:
                transform(blocks, count, column - strip[LEFT])
            else:
                mcu = (blocks.ctypes.data, count, column - strip[LEFT])
                call_address(tools[REDUCE], mcu)  # type: ignore[call-arg]  # numba adds the typing context
            if column + 1 == strip[RIGHT]:
                show_rows(header, strip, row, channels, target)
                follows = m + 1 + per_row - strip[RIGHT] + strip[LEFT]
                if row + 1 == strip[BOTTOM] or follows > last:
                    return m < last or _position(reader) > 8 * (start + length - 1)
        else:
            zero_bytes(coefficients, 2 * BLOCK_SLOTS * count)
        column += 1
        if column == per_row:
            row, column = row + 1, np.int64(0)
    return _position(reader) > 8 * (start + length - 1)


@inlined_function
def _read_segments(tools, data, header, index, strip, blocks, count, memory, scale, plain, channels, target):
    """Read what is needed of all segments; whether all is well."""
    total, at, stop = num_mcus(header), header[ENTROPY_START], np.int64(len(data))
    per_row = (header[WIDTH] + header[MCU_WIDTH] - 1) // header[MCU_WIDTH]
    last_needed = (strip[BOTTOM] - 1) * per_row + strip[RIGHT] - 1
    interval = header[RESTART_INTERVAL] if header[RESTART_INTERVAL] > 0 else total
    is_indexed, number = index[INDEX_LENGTHS] > 0, np.int64(0)
    # without an index the markers behind the box say whether the header is that of the data
    for first in range(0, last_needed + 1 if is_indexed else total, interval):
        last = min(first + interval, total) - 1
        is_needed = first <= last_needed and _touches(strip, first, last, per_row)
        end, length = np.int64(-1), np.int64(0)
        if is_indexed:
            end = at + segment_length(data, index, number)
        if is_needed or not is_indexed:
            marker, length = unstuff(data, at, stop, plain)
            follows = EOI if last + 1 == total else RST0 + number % 8
            if marker < 0 or data[marker + 1] != follows or (is_indexed and marker != end):
                return False
            end = marker
        if is_needed and not _read_segment(
            tools, header, strip, blocks, count, memory, scale, first, last, per_row, plain, length, channels, target
        ):
            return False
        at = end + 2
        number += 1
    return True


@kernel(types.int64(*[types.int64] * 10))
def decode_box(parts, address, size, height, width, channels, scale, box, target, region):
    """Decode a box of a baseline JPEG, if it is plain enough.

    What is wrong with the entropy-coded data behind the box, or with segments beside it, is not seen.

    Args:
        parts: the address of int64 (PARTS_LENGTH,).
        address, size: of the JPEG, with its index if it has one, in bytes.
        height, width: what the image must have, in pixels.
        channels: 3 for RGB, 1 for grayscale; the JPEG itself may have the other number.
        scale: 1, 2, 4 or 8: decode at 1 / scale of the size.
        box: the address of int64 (4,): top, left, bottom, right of what is needed, inside the image.
        target: the address of height * width * channels bytes, written as uint8 (box's height, `REGION_WIDTH`,
            channels), as scaled.
        region: the address of int64 (REGION_LENGTH,), filled: where the decoded part begins, in pixels of the whole
            image, which is where the box does or one column before, or the first pixel of one that is scaled; and how
            wide it is, as scaled.

    Returns:
        1, or 0 if the JPEG is none that this code knows, or is damaged, or there is no memory.
    """
    tools, data = int64s_at(parts, PARTS_LENGTH), bytes_at(address, size)
    wanted, decoded = int64s_at(box, 4), int64s_at(region, REGION_LENGTH)
    header, index = np.empty(HEADER_LENGTH, dtype=np.int64), np.empty(INDEX_LENGTH, dtype=np.int64)
    found = (address, size, header.ctypes.data, index.ctypes.data)
    if call_address(tools[READ_BASELINE], found) == 0:  # type: ignore[call-arg]  # numba adds the typing context
        return 0
    if header[WIDTH] != width or header[HEIGHT] != height or not _is_plain(header, channels, scale):
        return 0
    strip, part = np.empty(STRIP_LENGTH, dtype=np.int64), np.empty(4, dtype=np.int64)
    if scale > 1:
        _scale_header(header, scale)
    for i in range(4):
        part[i] = (wanted[i] + (scale - 1 if i >= 2 else 0)) // scale
    lay_out(header, part, strip)
    # addresses in it are kept as numbers, so it has to be handed on to where they are used
    memory = np.empty(BLOCKS_BYTES + strip_bytes(header, strip), dtype=np.uint8)
    zero_bytes(memory.ctypes.data, BLOCKS_BYTES)
    place_planes(header, memory.ctypes.data + BLOCKS_BYTES, strip)
    arguments = (address, size, header.ctypes.data, tools[TABLES], memory.ctypes.data)
    if call_address(tools[PREPARE_TABLES], arguments) == 0:
        return 0
    blocks = np.empty((MAX_BLOCKS, BLOCK_LENGTH), dtype=np.int64)
    count = list_blocks(header, strip, tools[TABLES], np.int64(memory.ctypes.data), blocks)
    bits = bytes_at(tools[SMALL], size + EXTRA_BYTES)
    if count == 0 or not _read_segments(
        tools, data, header, index, strip, blocks, count, memory, scale, bits, channels, target
    ):
        return 0
    decoded[REGION_TOP], decoded[REGION_LEFT] = scale * strip[FIRST_ROW], scale * strip[FIRST_COLUMN]
    decoded[REGION_WIDTH] = strip[END_COLUMN] - strip[FIRST_COLUMN]
    return 1
