"""The coefficients of a baseline JPEG's blocks, read from bytes without stuffing (ITU-T T.81, annex F.2).

What is next of the bits is kept in a register of 64 and filled up by 8 bytes at once (F. Giesen, "Reading bits in far
too many ways", part 2, 2018). AC coefficients are looked up by the next PAIR_BITS bits, by two at once where these hold
the first one and the second one's code: a lookup waits for the one before it, and photographs take less than 6 bits per
coefficient. The value of the last one is computed, as it may need bits beyond those; nothing waits for that.
"""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function, innermost_function
from ffcv_hydra.kernels.compiling.pointers import store_int16
from ffcv_hydra.kernels.jpeg.bits import load_int64, load_uint64
from ffcv_hydra.kernels.jpeg.huffman import (
    END_OF_BLOCK,
    IS_DEFINED,
    LAST,
    LOOKAHEAD,
    NUM_TABLES,
    address_of,
    is_block,
    read_symbol,
    value_of,
)
from ffcv_hydra.kernels.jpeg.order import NATURAL_ORDER

BLOCK_SLOTS = 72  # int16: 64 coefficients, and a place for what is none

PAIR_BITS = LOOKAHEAD
PAIRS = 1 << PAIR_BITS

# an int64 of a table of pairs: bits of all and of the first symbol, how far the first one goes and how far the second
# (0 if there is none), the value of the first one if there is a second, 63 less the category of the last one, and the
# bits before its value; 0 if the first code takes more than PAIR_BITS bits, or all take more than _MOST_BITS
_BITS, _FIRST_BITS, _STEP, _SECOND_STEP, _VALUE, _SHIFT, _BEFORE = 0, 8, 16, 24, 32, 48, 56
_TOP = np.uint64(64 - PAIR_BITS)
_PER_FILLING = 3  # lookups
_MOST_BITS = 18  # of a lookup: so many times as many are filled up
_NOWHERE = 64  # the position of what is no coefficient


_PLACES = np.array([*NATURAL_ORDER, *[_NOWHERE] * (4 * END_OF_BLOCK)], dtype=np.uint8)


@device_function
def _pair(next_bits, table):
    """The entry for PAIR_BITS bits."""
    window = np.uint64(next_bits) << _TOP
    bits, step, category = read_symbol(window, True, table)
    if bits == 0 or bits - category > PAIR_BITS or bits > _MOST_BITS:
        return np.int64(0)
    entry, total, last = bits << _FIRST_BITS | step << _STEP, bits, category
    if step != END_OF_BLOCK and bits <= PAIR_BITS:
        used, second_step, second = read_symbol(window << np.uint64(bits), True, table)
        if used > 0 and bits + used - second <= PAIR_BITS and bits + used <= _MOST_BITS:
            entry |= second_step << _SECOND_STEP | (value_of(window, bits, category) & 0xFFFF) << _VALUE
            total, last = bits + used, second
    return entry | total << _BITS | (63 - last) << _SHIFT | (total - last) << _BEFORE


@device_function
def define_pairs(tables, pairs):
    """Make the tables of pairs.

    Args:
        tables: as `read_tables` fills them.
        pairs: int64 (NUM_TABLES // 2, PAIRS), written: of the AC tables.
    """
    for number in range(NUM_TABLES // 2):
        if tables[NUM_TABLES // 2 + number, IS_DEFINED] == 0:
            continue
        table = address_of(tables, NUM_TABLES // 2 + number)
        for next_bits in range(PAIRS):
            pairs[number, next_bits] = _pair(next_bits, table)


@device_function
def begin_bits(address):
    """The state of a reader: the address of what is read next, what is read already, and how many bits of that."""
    return address, np.uint64(0), np.uint64(0)


@innermost_function
def refilled(address, bits, count):
    """The state of a reader with 56 bits or more."""
    bits |= load_uint64(address) >> count
    return address + np.int64((np.uint64(63) - count) >> np.uint64(3)), bits, count | np.uint64(56)


@innermost_function
def _store(coefficients, done, value):
    """Write the coefficient that so many AC coefficients end with."""
    at = coefficients + 2 * np.int64(_PLACES[np.uint64(done)])
    store_int16(at, value)  # type: ignore[call-arg]  # numba adds the typing context


@innermost_function
def _last_value(bits, entry):
    """The value of the last symbol of a lookup; see `value_of`."""
    behind_code = bits << np.uint64(entry >> _BEFORE)
    flip = np.uint64(~(np.int64(behind_code) >> 63))
    magnitude = (behind_code ^ flip) >> np.uint64(1) >> np.uint64(entry >> _SHIFT & 63)
    return np.int64((magnitude ^ flip) - flip)


@innermost_function
def read_block(reader, prediction, dc, ac, pairs, coefficients):
    """Read one block.

    Args:
        reader: of `begin_bits`.
        prediction: the DC coefficient of the component's block before.
        dc, ac: the addresses of tables (see `jpeg_huffman`).
        pairs: the address of the table of pairs of `ac`.
        coefficients: the address of int16 (BLOCK_SLOTS,), zeros in rows of eight; filled.

    Returns:
        The reader behind the block, its DC coefficient, and whether it is one.
    """
    address, bits, count = refilled(reader[0], reader[1], reader[2])
    used, _, category = read_symbol(bits, False, dc)
    is_good = used > 0
    prediction += value_of(bits, used, category)
    store_int16(coefficients, prediction)  # type: ignore[call-arg]  # numba adds the typing context
    bits <<= np.uint64(used)
    count -= np.uint64(used)
    done = first = np.int64(0)
    before = bits
    while done < LAST:
        address, bits, count = refilled(address, bits, count)
        for _ in range(_PER_FILLING):
            before = bits
            entry = load_int64(pairs + 8 * np.int64(bits >> _TOP))
            if entry == 0:
                address, bits, count = refilled(address, bits, count)
                used, step, category = read_symbol(bits, True, ac)
                done += step
                first = done
                _store(coefficients, done, value_of(bits, used, category))
                bits <<= np.uint64(used)
                count -= np.uint64(used)
                break
            first = done + (entry >> _STEP & 255)
            done = first + (entry >> _SECOND_STEP & 255)
            _store(coefficients, first, entry >> _VALUE)
            _store(coefficients, done, _last_value(bits, entry))
            both = np.uint64(entry & 63)
            bits <<= both
            count -= both
            if done >= LAST:
                break
    if first == LAST and done > LAST:  # the second one was the next block's
        entry = load_int64(pairs + 8 * np.int64(before >> _TOP))
        own = np.uint64(entry >> _FIRST_BITS & 255)
        bits, count, done = before << own, count + np.uint64(entry & 255) - own, first
    return (address, bits, count), prediction, is_good and is_block(done)
