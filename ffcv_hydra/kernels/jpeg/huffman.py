"""Huffman codes of JPEGs (ITU-T T.81, annexes C, F and G): reading symbols and DC differences.

Codes of up to LOOKAHEAD bits are found in a table by the next bits; longer ones, which are rare, by comparing with the
largest code of each length. Progressive JPEGs have codes that baseline ones lack: of bands that end in several blocks
at once, with bits that say in how many. Codes and values that no such JPEG has are errors, though decoders take some.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.jpeg.bits import load_int32, window_at
from ffcv_hydra.kernels.jpeg.markers import DHT, next_marker

LOOKAHEAD = 10
NUM_TABLES = 8  # DC 0 to 3, then AC 0 to 3
MAX_DC_CATEGORY = 11
_MAX_DC_SYMBOL = 15  # in a table, used or not
MAX_BLOCK_BYTES = 256  # 64 codes of up to 16 bits, each with up to 11 more, are less

MAX_AC_CATEGORY = 10
_MAX_CODE = 16
LAST = 63  # AC coefficients of a block
END_OF_BLOCK = 128  # added to a number of coefficients, no other sum becomes as large
NO_SYMBOL = 192  # the same
_COUNT_BYTES = 17  # of a table in a DHT: class and number, then how many codes each length has

_TOP = np.uint64(64 - LOOKAHEAD)

# A table is a row of int32: what the next LOOKAHEAD bits mean (bits of the symbol | its meaning << 8 | bits behind its
# code << 16; NO_SYMBOL << 8 for what is no symbol; 0 for longer codes), the largest code of each length (-1 if there is
# none), the position of a code's symbol less the code for each length, the symbols in the order of their codes, and
# whether the table is defined.
_MAX_CODES = 1 << LOOKAHEAD
_FIRST_SYMBOLS = _MAX_CODES + _MAX_CODE + 1
_SYMBOLS = _FIRST_SYMBOLS + _MAX_CODE + 1
IS_DEFINED = _SYMBOLS + 256
TABLE_LENGTH = IS_DEFINED + 1
_ITEM_BYTES = 4
TABLE_BYTES = _ITEM_BYTES * TABLE_LENGTH


@device_function
def _meaning(symbol, is_ac, is_progressive):
    """Bits after a symbol's code, and the category (DC) or the number of coefficients (AC); -1 for what is not used."""
    category = np.int64(symbol) & 15
    run = np.int64(symbol) >> 4
    if not is_ac:
        return (category, category) if symbol <= MAX_DC_CATEGORY else (-1, 0)
    if category == 0:
        if run == 15:
            return 0, 16
        return (run, END_OF_BLOCK) if run == 0 or is_progressive else (-1, 0)
    return (category, run + 1) if category <= MAX_AC_CATEGORY else (-1, 0)


@device_function
def _define(data, at, is_ac, is_progressive, table):
    """Define one table, a row, from the 16 numbers of codes at `at` and the symbols behind; whether it is possible."""
    table[:] = 0
    table[IS_DEFINED] = 1
    code, position = np.int64(0), np.int64(0)
    symbols = at + _MAX_CODE
    for length in range(1, _MAX_CODE + 1):
        count = np.int64(data[at + length - 1])
        table[_FIRST_SYMBOLS + length] = position - code
        for _ in range(count):
            symbol = data[symbols + position]
            if not is_ac and symbol > _MAX_DC_SYMBOL:
                return False
            table[_SYMBOLS + position] = symbol
            more, meaning = _meaning(symbol, is_ac, is_progressive)
            if length <= LOOKAHEAD and code < 1 << length:
                begin, end = code << (LOOKAHEAD - length), (code + 1) << (LOOKAHEAD - length)
                table[begin:end] = length + more | meaning << 8 | more << 16 if more >= 0 else NO_SYMBOL << 8
            code += 1
            position += 1
        table[_MAX_CODES + length] = code - 1 if count > 0 else -1
        if count > 0 and code >= 1 << length:  # a code of ones alone is not allowed (T.81, C)
            return False
        code <<= 1
    return True


@device_function
def num_symbols(data, at, stop):
    """How many symbols the table at `at` of a DHT has; -1 if it cannot be one, or is not all within data[:stop]."""
    if at + _COUNT_BYTES > stop or data[at] >> 4 > 1 or data[at] & 15 > 3:
        return -1
    total = np.int64(0)
    for length in range(1, _MAX_CODE + 1):
        total += np.int64(data[at + length])
    return total if total <= 256 and at + _COUNT_BYTES + total <= stop else -1


@device_function
def read_tables(data, at, stop, tables, is_progressive=False):
    """Define the tables of all DHTs in data[at:stop], which are segments of markers.

    Args:
        data: uint8.
        tables: int32 (NUM_TABLES, TABLE_LENGTH), zeros, or with tables that were defined before.
        is_progressive: whether AC tables may have the codes of progressive JPEGs.

    Returns:
        Whether all are possible.
    """
    while at < stop:
        at = next_marker(data, at, stop)
        if at < 0:
            return False
        end = at + 2 + (np.int64(data[at + 2]) << 8 | np.int64(data[at + 3]))
        if data[at + 1] == DHT:
            table = at + 4
            while table < end:
                count = num_symbols(data, table, end)
                number = np.int64(data[table] >> 4) * 4 + np.int64(data[table] & 15)
                if count < 0 or not _define(data, table + 1, number >= 4, is_progressive, tables[number]):
                    return False
                table += _COUNT_BYTES + count
        at = end
    return True


@device_function
def copy_with_all_categories(data, at, count, target, to):
    """Copy a DC table of a DHT and add the categories that it lacks, behind all codes, so that none of them changes.

    Optimised tables only have the categories that occur. The code of ones alone stays free, as the standard demands.

    Args:
        data: uint8; the table is at `at` and has `count` symbols.
        target: uint8; the table is written to `to`, with up to MAX_DC_CATEGORY + 1 bytes more.

    Returns:
        The number of bytes written, or -1 if there is no room for more codes, or the table is none of a JPEG.
    """
    if count > 16:
        return -1
    is_known = np.zeros(256, dtype=np.bool_)
    for i in range(_COUNT_BYTES + count):
        target[to + i] = data[at + i]
    for i in range(count):
        is_known[data[at + _COUNT_BYTES + i]] = True
    longest, code = 1, np.int64(0)  # the code that follows the last one of the longest codes
    for length in range(1, _MAX_CODE + 1):
        if data[at + length] > 0:
            code = (code << (length - longest)) + np.int64(data[at + length])
            longest = length
    length, end = longest, to + _COUNT_BYTES + count
    for category in range(MAX_DC_CATEGORY + 1):
        if is_known[category]:
            continue
        while length <= _MAX_CODE and code >= (1 << length) - 1:
            if code > (1 << length) - 1:
                return -1
            code <<= 1
            length += 1
        if length > _MAX_CODE:
            return -1
        target[to + length] += np.uint8(1)
        target[end] = category
        code += 1
        end += 1
    return end - to


@device_function
def dc_code(table, category):
    """The code of a category in a DC table, a row, and its length in bits; the length is 0 if there is none."""
    position = np.int64(0)
    while table[_SYMBOLS + position] != category:
        position += 1
        if position == 256:
            return np.int64(0), np.int64(0)
    for length in range(1, _MAX_CODE + 1):
        code = position - table[_FIRST_SYMBOLS + length]
        if code <= table[_MAX_CODES + length]:
            return code, np.int64(length)
    return np.int64(0), np.int64(0)


# What follows runs for each symbol, and takes a row of the tables by its address: handing on an array counts its
# references, which takes longer than reading a symbol does.


@device_function
def _long_code(window, is_ac, table, is_progressive):
    """As `read_symbol`, of a code that is found by its length."""
    for length in range(LOOKAHEAD + 1, _MAX_CODE + 1):
        code = np.int64(window >> np.uint64(64 - length))
        if code <= load_int32(table + _ITEM_BYTES * (_MAX_CODES + length)):
            position = load_int32(table + _ITEM_BYTES * (_FIRST_SYMBOLS + length)) + code
            more, meaning = _meaning(load_int32(table + _ITEM_BYTES * (_SYMBOLS + position)), is_ac, is_progressive)
            if more < 0:
                break
            return np.int64(length + more), np.int64(meaning), np.int64(more)
    return np.int64(0), np.int64(NO_SYMBOL), np.int64(0)


@device_function
def read_symbol(window, is_ac, table, is_progressive=False):
    """The symbol at the top of a window.

    Returns:
        Its bits, with those behind the code; its meaning, which is the category (DC) or how many coefficients it
        stands for, or END_OF_BLOCK (AC); how many bits are behind the code. (0, NO_SYMBOL, 0) if it is none.
    """
    entry = np.int64(load_int32(table + _ITEM_BYTES * np.int64(window >> _TOP)))
    if entry == 0:
        return _long_code(window, is_ac, table, is_progressive)
    return entry & 255, entry >> 8 & 255, entry >> 16


@device_function
def value_of(window, bits, category):
    """The number in the last `category` bits of the `bits` at the top of a window: those with a leading 0 are negative.

    Without a branch, which the processor would guess wrong every other time (T.81, F.2.2.1).
    """
    behind_code = window << np.uint64(bits - category)
    is_negative = ~(np.int64(behind_code) >> 63)
    value = np.int64(behind_code >> np.uint64(1) >> np.uint64(63 - category))
    return value + (is_negative & (1 - (1 << category)))


@intrinsic
def _leading_zeros(typing_context, value):
    def generate(context, builder, signature, arguments):
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), generate


@device_function
def category_of(value):
    """How many bits the magnitude of a number has (T.81, table F.1)."""
    return 64 - _leading_zeros(abs(value))  # type: ignore[call-arg]  # numba adds the typing context


@device_function
def read_dc(address, bit, table):
    """The bit after a DC coefficient's difference, -1 if it is none; and the difference."""
    window = window_at(address, bit)
    bits, _, category = read_symbol(window, False, table)
    return (bit + bits, value_of(window, bits, category)) if bits > 0 else (np.int64(-1), np.int64(0))


@device_function
def is_block(done):
    """Whether a block may end with so many AC coefficients, END_OF_BLOCK and NO_SYMBOL counted as such."""
    return done == LAST or END_OF_BLOCK <= done < NO_SYMBOL


@device_function
def address_of(tables, number):
    """The address of a row, which is valid as long as the caller's caller holds `tables`."""
    return np.int64(tables.ctypes.data) + TABLE_BYTES * number
