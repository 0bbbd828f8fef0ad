"""Restart markers for JPEGs that exist: their Huffman stream is recoded, their coefficients stay what they are.

A restart marker ends a byte and resets the prediction of DC coefficients. So only the first DC difference of each
component in a segment is coded anew, and all other bits are copied. A photo of 60 kB takes about 0.3 ms.
"""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.compiling.pointers import bytes_at, int32s_at, int64s_at
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
from ffcv_hydra.kernels.jpeg.entropy import begin_bits
from ffcv_hydra.kernels.jpeg.huffman import (
    IS_DEFINED,
    MAX_BLOCK_BYTES,
    MAX_DC_CATEGORY,
    NUM_TABLES,
    TABLE_BYTES,
    TABLE_LENGTH,
    category_of,
    copy_with_all_categories,
    dc_code,
    num_symbols,
    read_tables,
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
from ffcv_hydra.kernels.jpeg.skipping import SKIPS_BYTES, define_skips, next_dc, pass_ac
from ffcv_hydra.kernels.jpeg.tables import KNOWN_BYTES, note_tables

UNSUITABLE, TOO_LARGE = -1, -2  # codes of `insert_restart_markers`

PLAIN_SLACK_BYTES = SLACK_BYTES + MAX_BLOCKS * MAX_BLOCK_BYTES  # what the last MCU may seem to be made of

# the memory: how many bytes of DHT segments the tables were made of, those bytes, the tables, tables to pass AC
# coefficients with, and code and length of each category in each DC table that is written, int64
_TABLES_AT = 8 + KNOWN_BYTES
_SKIPS_AT = _TABLES_AT + TABLE_BYTES * NUM_TABLES
_CODES_AT = _SKIPS_AT + SKIPS_BYTES * (NUM_TABLES // 2)
_CODES_BYTES = 16 * (MAX_DC_CATEGORY + 1) * (NUM_TABLES // 2)
MEMORY_BYTES = _CODES_AT + _CODES_BYTES

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
def _have_tables(data, header, target, size, memory):
    """Have the tables of a JPEG in memory, and the DC codes of target[:size]; whether all are possible."""
    length, rows = int64s_at(memory, 1), int32s_at(memory + _TABLES_AT, (NUM_TABLES, TABLE_LENGTH))
    count, same = note_tables(data, header[SCAN_POSITION], bytes_at(memory + 8, KNOWN_BYTES))
    if same and count == length[0]:
        return True
    length[0] = -1
    rows[:] = 0
    if not read_tables(target, 2, size, rows):
        return False
    codes = int64s_at(memory + _CODES_AT, _CODES_BYTES // 8)
    for table in range(NUM_TABLES // 2):
        for category in range(MAX_DC_CATEGORY + 1):
            at = (table * (MAX_DC_CATEGORY + 1) + category) * 2
            codes[at] = codes[at + 1] = 0
            if rows[table, IS_DEFINED]:
                codes[at], codes[at + 1] = dc_code(rows[table], category)
    rows[:] = 0
    if not read_tables(data, 2, header[SCAN_POSITION], rows):
        return False
    define_skips(rows, memory + _SKIPS_AT)
    length[0] = count
    return True


@device_function
def _write_dc(writer, target, difference, codes):
    """Write a DC difference with the code of its category among those at an address; whether there is one."""
    category = category_of(difference)
    if category > MAX_DC_CATEGORY:
        return False
    code = int64s_at(codes + 16 * category, 2)
    if code[1] == 0:
        return False
    write_bits(writer, target, np.uint64(code[0]), code[1])
    if category > 0:
        value = difference if difference > 0 else difference + (1 << category) - 1
        write_bits(writer, target, np.uint64(value), category)
    return True


@device_function
def _position(reader, start):
    """How many bits a reader is behind the byte at `start`."""
    return 8 * (reader[0] - start) - np.int64(reader[2])


@device_function
def _recode_mcu(reader, start, copied, is_first, header, memory, predictions, writer, target):
    """Read one MCU, and where it is the first of a segment write its DC differences anew.

    Args:
        reader: where the MCU is, of `begin_bits`.
        start: the address that bits are counted from.
        copied: the bit up to which all is written.
        is_first: of a segment in the source or in the result.
        memory: of `insert_restart_markers`.
        predictions: int64 (2, MAX_COMPONENTS): the last DC coefficients in the source and in the result, updated.

    Returns:
        The reader behind the MCU, the bit up to which all is written, and a code below 0 or 0.
    """
    for c in range(header[COMPONENTS]):
        at = FIRST_COMPONENT + COMPONENT_FIELDS * c
        dc_table, ac_table = header[at + 2], header[at + 3]
        dc = memory + _TABLES_AT + TABLE_BYTES * dc_table
        ac = memory + _TABLES_AT + TABLE_BYTES * (NUM_TABLES // 2 + ac_table)
        skips = memory + _SKIPS_AT + SKIPS_BYTES * ac_table
        prediction = predictions[0, c]
        for block in range(header[at] * header[at + 1]):
            bit = _position(reader, start)
            reader, difference, is_dc = next_dc(reader, dc)
            prediction += difference
            if is_first and block == 0:
                if not has_room(writer, target, bit - copied + 32):
                    return reader, copied, TOO_LARGE
                copy_bits(writer, target, start, copied, bit)
                codes = memory + _CODES_AT + _CODES_BYTES // 4 * dc_table
                if not _write_dc(writer, target, prediction - predictions[1, c], codes):
                    return reader, copied, UNSUITABLE
                copied = _position(reader, start)
            reader, is_ac = pass_ac(reader, ac, skips)
            if not (is_dc and is_ac):
                return reader, copied, UNSUITABLE
        predictions[0, c] = predictions[1, c] = prediction
    return reader, copied, 0


@device_function
def _recode(data, header, interval, is_whole, memory, plain, writer, target, lengths):
    """Read all segments, and recode them, or the first one if not `is_whole`; 0, or a code below 0."""
    start, stop = np.int64(plain.ctypes.data), np.int64(len(data))
    at, count = unstuff(data, header[ENTROPY_START], stop, plain)
    reader = begin_bits(start)
    predictions = np.zeros((2, 4), dtype=np.int64)
    copied, writes = np.int64(0), True
    source_interval, total = header[RESTART_INTERVAL], num_mcus(header)
    begin = np.int64(writer[POSITION])
    for m in range(total):
        source_starts = source_interval > 0 and m > 0 and m % source_interval == 0
        starts = writes and m > 0 and m % interval == 0
        if source_starts or starts:
            bit = _position(reader, start)
            if writes:
                if not has_room(writer, target, bit - copied):
                    return TOO_LARGE
                copy_bits(writer, target, start, copied, bit)
                copied = bit
        if source_starts:
            if at < 0 or data[at + 1] != RST0 + (m // source_interval - 1) % 8 or 8 * count - bit >= 8:
                return UNSUITABLE
            at, count = unstuff(data, at + 2, stop, plain)
            reader, copied = begin_bits(start), np.int64(0)
            predictions[0] = 0
        if starts:
            write_rest(writer, target)
            lengths[m // interval - 1] = np.int64(writer[POSITION]) - begin
            writes = is_whole
            write_marker(writer, target, RST0 + (m // interval - 1) % 8 if writes else EOI)
            begin = np.int64(writer[POSITION])
            predictions[1] = 0
        reader, copied, code = _recode_mcu(
            reader, start, copied, writes and (source_starts or starts), header, memory, predictions, writer, target
        )
        if code < 0:
            return code
        if _position(reader, start) > 8 * count:
            return UNSUITABLE
    bit = _position(reader, start)
    if at < 0 or data[at + 1] != EOI or 8 * count - bit >= 8:
        return UNSUITABLE
    if writes:
        if not has_room(writer, target, bit - copied):
            return TOO_LARGE
        copy_bits(writer, target, start, copied, bit)
        write_rest(writer, target)
        lengths[(total - 1) // interval] = np.int64(writer[POSITION]) - begin
        write_marker(writer, target, EOI)
    return 0


@kernel(
    types.int64(
        _bytes, _int64s, types.int64, types.int64, _writable_bytes, _writable_bytes, _writable_bytes, _int64s
    )
)  # fmt: skip
def insert_restart_markers(data, header, interval, is_whole, memory, plain, target, lengths):
    """Give a baseline JPEG a restart marker every `interval` MCUs, in place of those that it may have.

    Whatever the bytes are, nothing outside of the arrays is read or written. Refused, beside what is damaged, is what
    decoders accept though no encoder should write it: blocks of more than 64 coefficients, unused values, bytes behind
    the last MCU. What follows the end of the image is left out.

    Args:
        data: uint8 (num_bytes,), the JPEG.
        header: int64 (HEADER_LENGTH,), of `parse_whole_jpeg`, with `IS_BASELINE`.
        interval: 1 to 65535.
        is_whole: 1; or 0 to read all, but write the first segment alone, to know whether it is a good one.
        memory: uint8 (MEMORY_BYTES,), zeros at first, later that of another call: most JPEGs have the same tables.
        plain: uint8, scratch; at least num_bytes + PLAIN_SLACK_BYTES long.
        target: uint8, the JPEG that is written.
        lengths: int64 (number of MCUs / interval, rounded up), written: bytes of each segment without its marker.

    Returns:
        The number of bytes written, or UNSUITABLE, or TOO_LARGE if `target` is too short.
    """
    if header[IS_BASELINE] == 0 or not 1 <= interval <= 0xFFFF or len(plain) < len(data) + PLAIN_SLACK_BYTES:
        return UNSUITABLE
    if len(lengths) != (num_mcus(header) + interval - 1) // interval or len(memory) < MEMORY_BYTES:
        return UNSUITABLE
    size = _copy_header(data, header, interval, target)
    if size < 0:
        return size
    address = np.int64(memory.ctypes.data)
    if not _have_tables(data, header, target, size, address):
        return UNSUITABLE
    rows = int32s_at(address + _TABLES_AT, (NUM_TABLES, TABLE_LENGTH))
    for c in range(header[COMPONENTS]):
        at = FIRST_COMPONENT + COMPONENT_FIELDS * c
        if rows[header[at + 2], IS_DEFINED] == 0 or rows[NUM_TABLES // 2 + header[at + 3], IS_DEFINED] == 0:
            return UNSUITABLE
    writer = np.zeros(WRITER_LENGTH, dtype=np.uint64)
    writer[POSITION] = np.uint64(size)
    status = _recode(data, header, interval, is_whole != 0, address, plain, writer, target, lengths)
    return status if status < 0 else np.int64(writer[POSITION])
