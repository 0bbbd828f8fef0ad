"""Restart markers for JPEGs that exist: their Huffman stream is recoded, their coefficients stay what they are.

A restart marker ends a byte and resets the prediction of DC coefficients. So only the first DC difference of each
component in a segment is coded anew, and all other bits are copied. A photo of 60 kB takes about 0.4 ms.
"""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.jpeg.bits import (
    POSITION,
    SLACK_BYTES,
    WRITER_LENGTH,
    copy_bits,
    has_room,
    unstuff,
    write_bits,
    write_marker,
    write_rest,
)
from ffcv_hydra.kernels.jpeg.huffman import (
    IS_DEFINED,
    MAX_BLOCK_BYTES,
    MAX_DC_CATEGORY,
    NUM_TABLES,
    TABLE_LENGTH,
    address_of,
    category_of,
    copy_with_all_categories,
    dc_code,
    num_symbols,
    read_dc,
    read_tables,
    skip_ac,
)
from ffcv_hydra.kernels.jpeg.markers import (
    COMPONENT_FIELDS,
    COMPONENTS,
    DHT,
    DRI,
    ENTROPY_START,
    EOI,
    FIRST_COMPONENT,
    IS_BASELINE,
    MAX_BLOCKS,
    RESTART_INTERVAL,
    RST0,
    SCAN_POSITION,
    SOI,
    next_marker,
    num_mcus,
    parse_jpeg,
)

UNSUITABLE, TOO_LARGE = -1, -2  # codes of `insert_restart_markers`

PLAIN_SLACK_BYTES = SLACK_BYTES + MAX_BLOCKS * MAX_BLOCK_BYTES  # what the last MCU may seem to be made of

_COUNT_BYTES = 17  # of a Huffman table in a DHT, before its symbols
_bytes = types.Array(types.uint8, 1, "C", readonly=True)
_writable_bytes = types.Array(types.uint8, 1, "C")
_int64s = types.Array(types.int64, 1, "C")


@kernel(types.int64(_bytes, _int64s))
def parse_whole_jpeg(data, header):
    """`parse_jpeg` of a JPEG on its own: `data`, uint8 (num_bytes,), into `header`, int64 (HEADER_LENGTH,)."""
    return parse_jpeg(data, 0, len(data), header)


@device_function
def _copy_dht(data, at, stop, target, to):
    """Copy the segment of a DHT, data[at:stop], with all categories in its DC tables; the end in `target`, or -1."""
    begin = to
    target[to], target[to + 1] = 0xFF, DHT
    at, to = at + 4, to + 4
    while at < stop:
        count = num_symbols(data, at, stop)
        if count < 0:
            return -1
        if data[at] >> 4 == 0:
            written = copy_with_all_categories(data, at, count, target, to)
            if written < 0:
                return -1
            to += written
        else:
            for i in range(_COUNT_BYTES + count):
                target[to + i] = data[at + i]
            to += _COUNT_BYTES + count
        at += _COUNT_BYTES + count
    length = to - begin - 2
    if length > 0xFFFF:
        return -1
    target[begin + 2], target[begin + 3] = np.uint8(length >> 8), np.uint8(length & 0xFF)
    return to


@device_function
def _copy_header(data, header, interval, target):
    """Copy all before the entropy-coded data, with another restart interval; its length, or a code below 0."""
    if len(target) < 2:
        return TOO_LARGE
    target[0], target[1] = 0xFF, SOI
    at, to = np.int64(2), np.int64(2)
    while at < header[ENTROPY_START]:
        at = next_marker(data, at, header[ENTROPY_START])
        if at < 0:
            return UNSUITABLE
        length = 2 + (np.int64(data[at + 2]) << 8 | np.int64(data[at + 3]))
        if to + 2 * length + 6 > len(target):  # adding categories does not double a table
            return TOO_LARGE
        if data[at + 1] == DHT:
            to = _copy_dht(data, at, at + length, target, to)
            if to < 0:
                return UNSUITABLE
        elif data[at + 1] != DRI:
            if at == header[SCAN_POSITION]:
                target[to], target[to + 1], target[to + 2], target[to + 3] = 0xFF, DRI, 0, 4
                target[to + 4], target[to + 5] = np.uint8(interval >> 8), np.uint8(interval & 0xFF)
                to += 6
            for i in range(length):
                target[to + i] = data[at + i]
            to += length
        at += length
    return to


@device_function
def _dc_codes(tables):
    """int64 (4, MAX_DC_CATEGORY + 1, 2): code and length of each category in each DC table."""
    codes = np.zeros((4, MAX_DC_CATEGORY + 1, 2), dtype=np.int64)
    for table in range(4):
        if tables[table, IS_DEFINED]:
            for category in range(MAX_DC_CATEGORY + 1):
                codes[table, category, 0], codes[table, category, 1] = dc_code(tables[table], category)
    return codes


@device_function
def _write_dc(writer, target, difference, codes):
    """Write a DC difference; whether there is a code for it."""
    category = category_of(difference)
    if category > MAX_DC_CATEGORY or codes[category, 1] == 0:
        return False
    write_bits(writer, target, np.uint64(codes[category, 0]), codes[category, 1])
    if category > 0:
        value = difference if difference > 0 else difference + (1 << category) - 1
        write_bits(writer, target, np.uint64(value), category)
    return True


@device_function
def _recode_mcu(address, bit, copied, is_first, header, tables, codes, predictions, writer, target):
    """Read one MCU, and where it is the first of a segment write its DC differences anew.

    Args:
        address, bit: where the MCU is.
        copied: the bit up to which all is written.
        is_first: of a segment in the source or in the result.
        predictions: int64 (2, MAX_COMPONENTS): the last DC coefficients in the source and in the result, updated.

    Returns:
        The bit after the MCU, or a code below 0; and the bit up to which all is written.
    """
    for c in range(header[COMPONENTS]):
        at = FIRST_COMPONENT + COMPONENT_FIELDS * c
        dc_table = header[at + 2]
        dc, ac = address_of(tables, dc_table), address_of(tables, 4 + header[at + 3])
        for block in range(header[at] * header[at + 1]):
            after, difference = read_dc(address, bit, dc)
            if after < 0:
                return np.int64(UNSUITABLE), copied
            predictions[0, c] += difference
            if is_first and block == 0:
                if not has_room(writer, target, bit - copied + 32):
                    return np.int64(TOO_LARGE), copied
                copy_bits(writer, target, address, copied, bit)
                if not _write_dc(writer, target, predictions[0, c] - predictions[1, c], codes[dc_table]):
                    return np.int64(UNSUITABLE), copied
                copied = after
            predictions[1, c] = predictions[0, c]
            bit = skip_ac(address, after, ac)
            if bit < 0:
                return np.int64(UNSUITABLE), copied
    return bit, copied


@device_function
def _recode(data, header, interval, tables, codes, plain, writer, target, lengths):
    """Recode all segments; 0, or a code below 0."""
    address, stop = np.int64(plain.ctypes.data), np.int64(len(data))
    at, count = unstuff(data, header[ENTROPY_START], stop, plain)
    predictions = np.zeros((2, 4), dtype=np.int64)
    bit = copied = np.int64(0)
    source_interval, total = header[RESTART_INTERVAL], num_mcus(header)
    begin = np.int64(writer[POSITION])
    for m in range(total):
        source_starts = source_interval > 0 and m > 0 and m % source_interval == 0
        starts = m > 0 and m % interval == 0
        if source_starts or starts:
            if not has_room(writer, target, bit - copied):
                return TOO_LARGE
            copy_bits(writer, target, address, copied, bit)
            copied = bit
        if source_starts:
            if at < 0 or data[at + 1] != RST0 + (m // source_interval - 1) % 8 or 8 * count - bit >= 8:
                return UNSUITABLE
            at, count = unstuff(data, at + 2, stop, plain)
            bit = copied = np.int64(0)
            predictions[0] = 0
        if starts:
            write_rest(writer, target)
            lengths[m // interval - 1] = np.int64(writer[POSITION]) - begin
            write_marker(writer, target, RST0 + (m // interval - 1) % 8)
            begin = np.int64(writer[POSITION])
            predictions[1] = 0
        bit, copied = _recode_mcu(
            address, bit, copied, source_starts or starts, header, tables, codes, predictions, writer, target
        )
        if bit < 0:
            return bit
        if bit > 8 * count:
            return UNSUITABLE
    if at < 0 or data[at + 1] != EOI or 8 * count - bit >= 8:
        return UNSUITABLE
    if not has_room(writer, target, bit - copied):
        return TOO_LARGE
    copy_bits(writer, target, address, copied, bit)
    write_rest(writer, target)
    lengths[(total - 1) // interval] = np.int64(writer[POSITION]) - begin
    write_marker(writer, target, EOI)
    return 0


@kernel(types.int64(_bytes, _int64s, types.int64, _writable_bytes, _writable_bytes, _int64s))
def insert_restart_markers(data, header, interval, plain, target, lengths):
    """Give a baseline JPEG a restart marker every `interval` MCUs, in place of those that it may have.

    Whatever the bytes are, nothing outside of the arrays is read or written. Refused, beside what is damaged, is what
    decoders accept though no encoder should write it: blocks of more than 64 coefficients, unused values, bytes behind
    the last MCU. What follows the end of the image is left out.

    Args:
        data: uint8 (num_bytes,), the JPEG.
        header: int64 (HEADER_LENGTH,), of `parse_whole_jpeg`, with `IS_BASELINE`.
        interval: 1 to 65535.
        plain: uint8, scratch; at least num_bytes + PLAIN_SLACK_BYTES long.
        target: uint8, the JPEG that is written.
        lengths: int64 (number of MCUs / interval, rounded up), written: bytes of each segment without its marker.

    Returns:
        The number of bytes written, or UNSUITABLE, or TOO_LARGE if `target` is too short.
    """
    if header[IS_BASELINE] == 0 or not 1 <= interval <= 0xFFFF or len(plain) < len(data) + PLAIN_SLACK_BYTES:
        return UNSUITABLE
    if len(lengths) != (num_mcus(header) + interval - 1) // interval:
        return UNSUITABLE
    tables = np.zeros((NUM_TABLES, TABLE_LENGTH), dtype=np.int32)
    written_tables = np.zeros_like(tables)
    size = _copy_header(data, header, interval, target)
    if size < 0:
        return size
    if not read_tables(data, 2, header[SCAN_POSITION], tables):
        return UNSUITABLE
    if not read_tables(target, 2, size, written_tables):
        return UNSUITABLE
    for c in range(header[COMPONENTS]):
        at = FIRST_COMPONENT + COMPONENT_FIELDS * c
        if tables[header[at + 2], IS_DEFINED] == 0 or tables[4 + header[at + 3], IS_DEFINED] == 0:
            return UNSUITABLE
    writer = np.zeros(WRITER_LENGTH, dtype=np.uint64)
    writer[POSITION] = np.uint64(size)
    status = _recode(data, header, interval, tables, _dc_codes(written_tables), plain, writer, target, lengths)
    return status if status < 0 else np.int64(writer[POSITION])
