"""The coefficients of a baseline JPEG's blocks, read from bytes without stuffing (ITU-T T.81, annex F.2).

What is next of the bits is kept in a register of 64 and filled up by 8 bytes at once (F. Giesen, "Reading bits in far
too many ways", part 2, 2018). AC coefficients are looked up by two at once where both are within the next PAIR_BITS
bits, with their values: a lookup waits for the one before it, and photographs take less than 5 bits per coefficient.
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

# an int64 of a table of pairs: bits of both and of the first, how far each goes, and the two values; 0 if even the
# first symbol takes more bits
_BITS, _FIRST_BITS, _STEP, _SECOND_STEP, _VALUE, _SECOND_VALUE = 0, 8, 16, 24, 32, 48
_TOP = np.uint64(64 - PAIR_BITS)
_PER_FILLING = 4  # lookups, of which only the last may take more than PAIR_BITS bits
_NOWHERE = 64  # the position of what is no coefficient


_PLACES = np.array([*NATURAL_ORDER, *[_NOWHERE] * (4 * END_OF_BLOCK)], dtype=np.uint8)


@device_function
def _with_second(window, entry, bits, table):
    """The entry of a symbol that has `bits`, with the one behind it if that is among the bits of a lookup, too."""
    used, step, category = read_symbol(window << np.uint64(bits), True, table)
    total = bits + used
    if used == 0 or total > PAIR_BITS:
        return entry | bits << _BITS | (entry >> _VALUE & 0xFFFF) << _SECOND_VALUE
    value = value_of(window << np.uint64(bits), used, category)
    return entry | total << _BITS | step << _SECOND_STEP | (value & 0xFFFF) << _SECOND_VALUE


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
            window = np.uint64(next_bits) << _TOP
            bits, step, category = read_symbol(window, True, table)
            if bits == 0 or bits > PAIR_BITS:
                pairs[number, next_bits] = 0
                continue
            entry = bits << _FIRST_BITS | step << _STEP | (value_of(window, bits, category) & 0xFFFF) << _VALUE
            if step == END_OF_BLOCK:
                pairs[number, next_bits] = entry | bits << _BITS
            else:
                pairs[number, next_bits] = _with_second(window, entry, bits, table)


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
            _store(coefficients, done, entry >> _SECOND_VALUE)
            both = np.uint64(entry & 255)
            bits <<= both
            count -= both
            if done >= LAST:
                break
    if first == LAST and done > LAST:  # the second one was the next block's
        entry = load_int64(pairs + 8 * np.int64(before >> _TOP))
        own = np.uint64(entry >> _FIRST_BITS & 255)
        bits, count, done = before << own, count + np.uint64(entry & 255) - own, first
    return (address, bits, count), prediction, is_good and is_block(done)
