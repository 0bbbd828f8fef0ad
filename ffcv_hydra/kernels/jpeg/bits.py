"""Bits of a JPEG's entropy-coded data (ITU-T T.81, F.1.2.3): read from plain bytes, written with zeros after FF.

Bits are read 57 at a time, at any position, and copied 32 at a time: moving 60 kB takes about 0.1 ms.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.vectors import INT8, Vectors

_VECTOR = 32  # bytes that are searched for FF at once
SLACK_BYTES = _VECTOR  # what reading and unstuffing may touch behind the last byte

# the state of a writer, uint64 (WRITER_LENGTH,): bits that are not written yet, how many, the position of the next byte
WRITER_LENGTH = 3
_PENDING, _COUNT, POSITION = range(WRITER_LENGTH)

_ONES_32, _HIGHS_32 = np.uint64(0x01010101), np.uint64(0x80808080)
_LOW_32 = np.uint64(0xFFFFFFFF)


def _load(bits, is_big_endian):
    """An intrinsic that loads a number from an address of any alignment: uint64 if it is big-endian, else signed."""
    loaded = types.uint64 if is_big_endian else types.Integer.from_bitwidth(bits)

    @intrinsic
    def load(typing_context, address):
        def generate(context, builder, signature, arguments):
            value = builder.load(builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer()))
            value.align = 1
            return builder.bswap(value) if is_big_endian else value

        return loaded(types.int64), generate

    return load


load_uint64, load_int64, load_int32, load_int16 = _load(64, True), _load(64, False), _load(32, False), _load(16, False)


def _big_endian_store(bits):
    """An intrinsic that stores the low `bits` of a value at an address of any alignment, the highest byte first."""

    @intrinsic
    def store(typing_context, address, value):
        def generate(context, builder, signature, arguments):
            pointer = builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())
            narrowed = builder.trunc(arguments[1], ir.IntType(bits)) if bits < 64 else arguments[1]
            builder.store(builder.bswap(narrowed) if bits > 8 else narrowed, pointer).align = 1
            return context.get_dummy_value()

        return types.void(types.int64, types.uint64), generate

    return store


_store_8, _store_32 = _big_endian_store(8), _big_endian_store(32)


@device_function
def window_at(address, bit):
    """The bits from `bit` on, counted from the byte at `address`, from the top of a uint64; 57 are valid."""
    return load_uint64(address + (bit >> 3)) << np.uint64(bit & 7)


@intrinsic
def _copy_vector(typing_context, target, source):
    """Copy _VECTOR bytes; the number of those before the first FF among them."""

    def generate(context, builder, signature, arguments):
        vectors, mask = Vectors(builder), ir.IntType(_VECTOR)
        values = vectors.load(arguments[1], 0, INT8, _VECTOR)
        vectors.store(values, arguments[0])
        found = builder.bitcast(builder.icmp_signed("==", values, vectors.like(values, -1)), mask)
        return builder.zext(builder.cttz(found, ir.Constant(ir.IntType(1), 0)), ir.IntType(64))

    return types.int64(types.int64, types.int64), generate


@device_function
def unstuff(data, at, stop, plain):
    """Copy entropy-coded bytes up to the next marker, without the zeros after FF.

    Args:
        data: uint8; data[at:stop] is read.
        plain: uint8, at least stop - at + SLACK_BYTES long.

    Returns:
        The position of the marker's FF in `data`, or -1 if there is none; and the number of bytes in `plain`.
    """
    source, target = np.int64(data.ctypes.data), np.int64(plain.ctypes.data)
    count = np.int64(0)
    while at < stop:
        if at + _VECTOR <= stop:
            skipped = _copy_vector(target + count, source + at)  # type: ignore[call-arg,var-annotated]
            at += skipped
            count += skipped
            if skipped == _VECTOR:
                continue
        value = data[at]
        if value == 0xFF:
            if at + 1 >= stop:
                return np.int64(-1), count
            if data[at + 1] != 0:
                return at, count
            at += 1
        plain[count] = value
        at += 1
        count += 1
    return np.int64(-1), count


@device_function
def has_room(writer, target, num_bits):
    """Whether so many bits and a marker can be written, be they all ones."""
    return np.int64(writer[POSITION]) + 2 * (num_bits // 8 + 16) <= len(target)


@device_function
def _write_byte(address, value):
    """Write a byte and what is stuffed after it; the address behind."""
    _store_8(address, value)
    if value != 0xFF:
        return address + 1
    _store_8(address + 1, np.uint64(0))
    return address + 2


@device_function
def _write_word(address, word):
    """Write 32 bits and what is stuffed between them; the address behind."""
    if (~word - _ONES_32) & word & _HIGHS_32 == 0:
        _store_32(address, word)
        return address + 4
    for shift in (24, 16, 8, 0):
        address = _write_byte(address, word >> np.uint64(shift) & np.uint64(0xFF))
    return address


@device_function
def write_bits(writer, target, value, count):
    """Write the lowest `count` bits of `value`, a uint64 that has no others; at most 32. See `has_room`."""
    pending = writer[_PENDING] << np.uint64(count) | value
    num_pending = writer[_COUNT] + np.uint64(count)
    if num_pending >= 32:
        num_pending -= np.uint64(32)
        start = np.int64(target.ctypes.data)
        behind = _write_word(start + np.int64(writer[POSITION]), pending >> num_pending & _LOW_32)
        writer[POSITION] = np.uint64(behind - start)
    writer[_PENDING], writer[_COUNT] = pending, num_pending


@device_function
def copy_bits(writer, target, address, bit, stop):
    """Write the bits from `bit` to `stop`, counted from the byte at `address`. See `has_room`."""
    pending, num_pending = writer[_PENDING], writer[_COUNT]
    start = np.int64(target.ctypes.data)
    at = start + np.int64(writer[POSITION])
    while bit + 32 <= stop:
        pending = pending << np.uint64(32) | window_at(address, bit) >> np.uint64(32)
        at = _write_word(at, pending >> num_pending & _LOW_32)
        bit += 32
    writer[_PENDING], writer[POSITION] = pending, np.uint64(at - start)
    if bit < stop:
        write_bits(writer, target, window_at(address, bit) >> np.uint64(64 - (stop - bit)), stop - bit)


@device_function
def write_rest(writer, target):
    """Fill the last byte with ones and write all that is pending."""
    missing = np.int64(-writer[_COUNT] & np.uint64(7))
    write_bits(writer, target, np.uint64((1 << missing) - 1), missing)
    start = np.int64(target.ctypes.data)
    at = start + np.int64(writer[POSITION])
    while writer[_COUNT] > 0:
        writer[_COUNT] -= np.uint64(8)
        at = _write_byte(at, writer[_PENDING] >> writer[_COUNT] & np.uint64(0xFF))
    writer[POSITION] = np.uint64(at - start)


@device_function
def write_marker(writer, target, marker):
    """Write FF and the marker's second byte; nothing may be pending."""
    at = writer[POSITION]
    target[at], target[at + np.uint64(1)] = 0xFF, marker
    writer[POSITION] = at + np.uint64(2)
