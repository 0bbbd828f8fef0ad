"""Decoding of a box of a baseline JPEG, one row of MCUs after the other, to the pixels that TurboJPEG makes of it.

Only MCUs that the box covers are transformed, only its pixels are converted, and restart segments beside it are not
read. What is not plain (other sampling factors, odd markers, anything that is wrong) is left to TurboJPEG, which also
says what is wrong with it (see `region`): this code either gives the right pixels or none.
"""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, inlined_function, innermost_function, kernel
from ffcv_hydra.kernels.compiling.pointers import bytes_at, call_address, int64s_at
from ffcv_hydra.kernels.jpeg.bits import SLACK_BYTES, unstuff
from ffcv_hydra.kernels.jpeg.entropy import BLOCK_SLOTS, PAIRS, begin_bits, read_block
from ffcv_hydra.kernels.jpeg.huffman import IS_DEFINED, MAX_BLOCK_BYTES, NUM_TABLES, TABLE_LENGTH
from ffcv_hydra.kernels.jpeg.idct import COEFFICIENTS, inverse_transform
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
    PLANES,
    RIGHT,
    STRIDES,
    STRIP_LENGTH,
    TOP,
    lay_out,
    place_planes,
    show_rows,
    strip_bytes,
)
from ffcv_hydra.kernels.jpeg.tables import PAIRS_AT, TABLES_AT
from ffcv_hydra.kernels.memory.copies import zero_bytes
from ffcv_hydra.kernels.memory.parts import PARTS_LENGTH, PREPARE_TABLES, READ_BASELINE, SMALL, TABLES

EXTRA_BYTES = SLACK_BYTES + (MAX_BLOCKS + 1) * MAX_BLOCK_BYTES  # that reading may touch behind a segment

# what `decode_box` fills in
REGION_LENGTH = 3
REGION_TOP, REGION_LEFT, REGION_WIDTH = range(REGION_LENGTH)

# int64 (BLOCK_LENGTH,) for each block of an MCU: its component, the addresses of what it is read with, of its
# coefficients, of its samples in the strip's first MCU, and how far on they are in the next one and in the next row
_BLOCK_LENGTH = 9
(_COMPONENT, _DC, _AC, _PAIRS, _QUANTISERS, _COEFFICIENTS, _ORIGIN, _STEP, _STRIDE) = range(_BLOCK_LENGTH)

# a decoder's memory, in bytes: quantisers, coefficients of an MCU, samples of no component, planes
_COEFFICIENTS_AT = 2 * MAX_COMPONENTS * COEFFICIENTS
_BESIDE_AT = _COEFFICIENTS_AT + 2 * MAX_BLOCKS * BLOCK_SLOTS
_PLANES_AT = _BESIDE_AT + COEFFICIENTS


@device_function
def _is_plain(header, channels):
    """Whether sampling factors and channels are among those that this code knows."""
    if header[COMPONENTS] == 1:
        return True
    if header[COMPONENTS] != 3 or channels != 3 or header[MAX_V] > header[MAX_H] or header[MAX_H] > 2:
        return False
    if header[MAX_H] == 2 and header[WIDTH] <= 4:  # libjpeg interpolates no less than three samples
        return False
    for c in range(3):
        at = FIRST_COMPONENT + COMPONENT_FIELDS * c
        h, v = (header[MAX_H], header[MAX_V]) if c == 0 else (1, 1)
        if header[at] != h or header[at + 1] != v:
            return False
    return True


@device_function
def _list_blocks(header, strip, tables, memory, blocks):
    """Fill in a row per block of an MCU, and one more if their number is odd; the number, 0 if a table is not there."""
    count, start = 0, np.int64(memory.ctypes.data)
    coefficients = start + _COEFFICIENTS_AT
    tables, pairs = tables + TABLES_AT, tables + PAIRS_AT
    for c in range(header[COMPONENTS]):
        at = FIRST_COMPONENT + COMPONENT_FIELDS * c
        numbers = (header[at + 2], NUM_TABLES // 2 + header[at + 3])
        for i in range(header[at] * header[at + 1]):
            block = blocks[count]
            block[_COMPONENT] = c
            block[_DC], block[_AC] = tables + 4 * TABLE_LENGTH * numbers[0], tables + 4 * TABLE_LENGTH * numbers[1]
            block[_PAIRS] = pairs + 8 * PAIRS * header[at + 3]
            block[_QUANTISERS] = start + 2 * COEFFICIENTS * c
            block[_COEFFICIENTS] = coefficients + 2 * BLOCK_SLOTS * count
            across, down = i % header[at], i // header[at]
            block[_STRIDE] = strip[STRIDES + c]
            block[_ORIGIN] = strip[PLANES + c] + block[_STRIDE] * (1 + 8 * down) + 8 * across
            block[_STEP] = 8 * header[at]
            count += 1
            for number in numbers:
                if bytes_at(tables + 4 * (TABLE_LENGTH * number + IS_DEFINED), 1)[0] == 0:
                    return 0
    if count % 2 == 1:
        for i in range(_BLOCK_LENGTH):
            blocks[count, i] = blocks[count - 1, i]
        blocks[count, _COEFFICIENTS] = coefficients + 2 * BLOCK_SLOTS * count
        blocks[count, _ORIGIN], blocks[count, _STEP], blocks[count, _STRIDE] = start + _BESIDE_AT, 0, 8
    return count


@innermost_function
def _transform(blocks, count, column):
    """Turn the coefficients of an MCU into samples in the strip."""
    for one in range(0, count, 2):  # whole rows of `blocks` would have their references counted, each time
        other = one + 1
        inverse_transform(
            (blocks[one, _COEFFICIENTS], blocks[other, _COEFFICIENTS]),
            (blocks[one, _QUANTISERS], blocks[other, _QUANTISERS]),
            (
                blocks[one, _ORIGIN] + column * blocks[one, _STEP],
                blocks[other, _ORIGIN] + column * blocks[other, _STEP],
            ),
            (blocks[one, _STRIDE], blocks[other, _STRIDE]),
        )


@innermost_function
def _read_mcu(reader, blocks, count, predictions):
    """The reader behind an MCU, and whether it is one; its coefficients are where `blocks` says."""
    is_good = True
    for b in range(count):
        component = blocks[b, _COMPONENT]
        reader, predictions[component], is_block = read_block(
            reader, predictions[component], blocks[b, _DC], blocks[b, _AC], blocks[b, _PAIRS], blocks[b, _COEFFICIENTS]
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
def _read_segment(header, strip, blocks, count, memory, first, last, per_row, plain, length, channels, target):
    """Read the MCUs from `first` to `last`, or up to the last one that is needed; whether all is well."""
    start, coefficients = np.int64(plain.ctypes.data), np.int64(memory.ctypes.data) + _COEFFICIENTS_AT
    reader, predictions = begin_bits(start), np.empty(MAX_COMPONENTS, dtype=np.int64)
    zero_bytes(predictions.ctypes.data, 8 * MAX_COMPONENTS)
    row, column = first // per_row, first % per_row
    for m in range(first, last + 1):
        reader, is_good = _read_mcu(reader, blocks, count, predictions)
        if not is_good or _position(reader) > 8 * (start + length):
            return False
        if _is_needed(strip, row, column):
            _transform(blocks, count, column - strip[LEFT])
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
def _read_segments(data, header, index, strip, blocks, count, memory, plain, channels, target):
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
            header, strip, blocks, count, memory, first, last, per_row, plain, length, channels, target
        ):
            return False
        at = end + 2
        number += 1
    return True


@kernel(types.int64(*[types.int64] * 9))
def decode_box(parts, address, size, height, width, channels, box, target, region):
    """Decode a box of a baseline JPEG, if it is plain enough.

    What is wrong with the entropy-coded data behind the box, or with segments beside it, is not seen.

    Args:
        parts: the address of int64 (PARTS_LENGTH,).
        address, size: of the JPEG, with its index if it has one, in bytes.
        height, width: what the image must have, in pixels.
        channels: 3 for RGB, 1 for grayscale; the JPEG itself may have the other number.
        box: the address of int64 (4,): top, left, bottom, right of what is needed, inside the image.
        target: the address of height * width * channels bytes, written as uint8 (box's height, `REGION_WIDTH`,
            channels).
        region: the address of int64 (REGION_LENGTH,), filled: where the decoded part begins, in pixels of the whole
            image, which is where the box does or one column before; and how wide it is.

    Returns:
        1, or 0 if the JPEG is none that this code knows, or is damaged, or there is no memory.
    """
    tools, data = int64s_at(parts, PARTS_LENGTH), bytes_at(address, size)
    wanted, decoded = int64s_at(box, 4), int64s_at(region, REGION_LENGTH)
    header, index = np.empty(HEADER_LENGTH, dtype=np.int64), np.empty(INDEX_LENGTH, dtype=np.int64)
    found = (address, size, header.ctypes.data, index.ctypes.data)
    if call_address(tools[READ_BASELINE], found) == 0:  # type: ignore[call-arg]  # numba adds the typing context
        return 0
    if header[WIDTH] != width or header[HEIGHT] != height or not _is_plain(header, channels):
        return 0
    strip = np.empty(STRIP_LENGTH, dtype=np.int64)
    lay_out(header, wanted, strip)
    # addresses in it are kept as numbers, so it has to be handed on to where they are used
    memory = np.empty(_PLANES_AT + strip_bytes(header, strip), dtype=np.uint8)
    zero_bytes(memory.ctypes.data, _PLANES_AT)
    place_planes(header, memory.ctypes.data + _PLANES_AT, strip)
    arguments = (address, size, header.ctypes.data, tools[TABLES], memory.ctypes.data)
    if call_address(tools[PREPARE_TABLES], arguments) == 0:
        return 0
    blocks = np.empty((MAX_BLOCKS, _BLOCK_LENGTH), dtype=np.int64)
    count = _list_blocks(header, strip, tools[TABLES], memory, blocks)
    bits = bytes_at(tools[SMALL], size + EXTRA_BYTES)
    if count == 0 or not _read_segments(data, header, index, strip, blocks, count, memory, bits, channels, target):
        return 0
    decoded[REGION_TOP], decoded[REGION_LEFT] = strip[FIRST_ROW], strip[FIRST_COLUMN]
    decoded[REGION_WIDTH] = strip[END_COLUMN] - strip[FIRST_COLUMN]
    return 1
