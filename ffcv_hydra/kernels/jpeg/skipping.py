"""AC coefficients of a baseline JPEG's blocks, passed over without being read: as many at once as SKIP_BITS bits hold.

A lookup waits for the one before it, so what counts is how many symbols each passes: in photographs two to three.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.compiling.compilation import device_function, innermost_function
from ffcv_hydra.kernels.compiling.pointers import store_int16
from ffcv_hydra.kernels.jpeg.entropy import refilled
from ffcv_hydra.kernels.jpeg.huffman import (
    END_OF_BLOCK,
    IS_DEFINED,
    LAST,
    NUM_TABLES,
    address_of,
    is_block,
    read_symbol,
    value_of,
)

SKIP_BITS = 12
SKIPS = 1 << SKIP_BITS
_ITEM_BYTES = 2
SKIPS_BYTES = _ITEM_BYTES * SKIPS  # of a table

# a uint16 of a table: bits of all symbols, and what they mean together (see `huffman`); 0 if the first takes more bits
_MEANING = 6
_BITS_MASK = 63  # what shifting by a number takes of it without being told
_TOP = np.uint64(64 - SKIP_BITS)
_MOST = np.uint64(SKIP_BITS)
_PER_FILLING = 4  # lookups


@device_function
def define_skips(tables, skips):
    """Make the tables that `pass_ac` looks up.

    Args:
        tables: as `read_tables` fills them.
        skips: the address of uint16 (NUM_TABLES // 2, SKIPS), written: of the AC tables.
    """
    for number in range(NUM_TABLES // 2):
        if tables[NUM_TABLES // 2 + number, IS_DEFINED] == 0:
            continue
        table = address_of(tables, NUM_TABLES // 2 + number)
        for next_bits in range(SKIPS):
            window = np.uint64(next_bits) << _TOP
            total = done = np.int64(0)
            while done < END_OF_BLOCK:
                bits, meaning, _ = read_symbol(window << np.uint64(total), True, table)
                is_too_far = meaning < END_OF_BLOCK and done + meaning > LAST
                if bits == 0 or total + bits > SKIP_BITS or is_too_far:
                    break
                total += bits
                done += meaning
            at = skips + _ITEM_BYTES * (number * SKIPS + next_bits)
            store_int16(at, done << _MEANING | total)  # type: ignore[call-arg]  # numba adds the typing context


@intrinsic
def _load_uint16(typing_context, address):
    def generate(context, builder, signature, arguments):
        loaded = builder.load(builder.inttoptr(arguments[0], ir.IntType(16).as_pointer()))
        return builder.zext(loaded, ir.IntType(64))

    return types.int64(types.int64), generate


@innermost_function
def next_dc(reader, table):
    """Read the difference of a DC coefficient.

    Args:
        reader: of `begin_bits`.
        table: the address of a DC table.

    Returns:
        The reader behind it, the difference, and whether it is one.
    """
    address, bits, count = refilled(reader[0], reader[1], reader[2])
    used, _, category = read_symbol(bits, False, table)
    return (address, bits << np.uint64(used), count - np.uint64(used)), value_of(bits, used, category), used > 0


@innermost_function
def pass_ac(reader, table, skips):
    """Pass over the AC coefficients of a block.

    Args:
        reader: of `begin_bits`; behind the block's DC coefficient.
        table: the address of an AC table.
        skips: the address of what `define_skips` has made of it.

    Returns:
        The reader behind the block, and whether it is one.
    """
    address, bits, count = reader
    done = done_before = np.int64(0)
    bits_before, count_before = bits, count
    while done < LAST:
        address, bits, count = refilled(address, bits, count)
        for _ in range(_PER_FILLING):
            bits_before, count_before, done_before = bits, count, done
            entry = _load_uint16(skips + _ITEM_BYTES * np.int64(bits >> _TOP))  # type: ignore[call-arg,var-annotated]
            used = np.uint64(entry & _BITS_MASK)
            if used == 0:
                address, bits, count = refilled(address, bits, count)
                bits_before, count_before = bits, count
                long_used, meaning, _ = read_symbol(bits, True, table)
                used, entry = np.uint64(long_used), meaning << _MEANING
            bits <<= used
            count -= used
            done += entry >> _MEANING
            if done >= LAST or used > _MOST:
                break
    if done != LAST and not END_OF_BLOCK <= done < END_OF_BLOCK + LAST:  # the last ones are the next block's
        bits, count, done = bits_before, count_before, done_before
        while done < LAST:
            address, bits, count = refilled(address, bits, count)
            long_used, meaning, _ = read_symbol(bits, True, table)
            bits <<= np.uint64(long_used)
            count -= np.uint64(long_used)
            done += meaning
    return (address, bits, count), is_block(done)
