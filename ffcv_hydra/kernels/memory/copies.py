"""Copies of bytes that LLVM does not find by itself: whole blocks, and pixels in reverse order."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.compiling.compilation import device_function, innermost_function
from ffcv_hydra.kernels.compiling.numba_internals import cgutils

_BYTE = ir.IntType(8)
_VECTOR = 16  # bytes; one `pshufb` on x86, one `tbl` on ARM


_LINE = 64  # bytes that the processor fetches at once


@intrinsic
def _prefetch(typing_context, address):
    def generate(context, builder, signature, arguments):
        number, pointer = ir.IntType(32), _BYTE.as_pointer()
        function = builder.module.declare_intrinsic(
            "llvm.prefetch", (pointer,), ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        )
        read, keep, data = (ir.Constant(number, value) for value in (0, 2, 1))
        builder.call(function, [builder.inttoptr(arguments[0], pointer), read, keep, data])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@device_function
def prefetch(address, count):
    """Have the processor fetch `count` bytes from memory, and do not wait for them."""
    for line in range(0, count, _LINE):
        _prefetch(address + line)  # type: ignore[call-arg]


@intrinsic
def _copy(typing_context, target, source, count):
    def generate(context, builder, signature, arguments):
        pointers = [builder.inttoptr(address, _BYTE.as_pointer()) for address in arguments[:2]]
        cgutils.raw_memcpy(builder, pointers[0], pointers[1], arguments[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@device_function
def copy_bytes(target, source, count):
    """`memcpy`: copy `count` bytes between two addresses of memory that does not overlap."""
    _copy(target, source, count)  # type: ignore[call-arg]  # numba adds the typing context


@intrinsic
def _zero(typing_context, target, count):
    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], _BYTE.as_pointer())
        cgutils.memset(builder, pointer, arguments[1], 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@device_function
def zero_bytes(target, count):
    """`memset`: write `count` zeros from an address on."""
    _zero(target, count)  # type: ignore[call-arg]  # numba adds the typing context


def _move(count):
    """An intrinsic `(target: int64, source: int64)` that copies `count` bytes, a power of two, at once."""

    @intrinsic
    def move(typing_context, target, source):
        def generate(context, builder, signature, arguments):
            kind = ir.VectorType(_BYTE, count) if count > 8 else ir.IntType(8 * count)
            pointers = [builder.inttoptr(address, kind.as_pointer()) for address in arguments]
            value = builder.load(pointers[1])
            value.align = 1
            builder.store(value, pointers[0]).align = 1
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return move


_move_1, _move_2, _move_4, _move_8, _move_16, _move_32, _move_64 = (_move(1 << power) for power in range(7))


@innermost_function
def copy_row(target, source, count):
    """`copy_bytes` for rows and parts of rows, at which the call of `memcpy` takes longer than the copy.

    Two moves that may overlap, and no loop: LLVM would make a call of `memcpy` of that.
    """
    if count > 256:
        copy_bytes(target, source, count)
    elif count >= 64:
        _move_64(target, source)
        if count > 128:
            _move_64(target + 64, source + 64)
            _move_64(target + count - 128, source + count - 128)
        _move_64(target + count - 64, source + count - 64)
    elif count >= 32:
        _move_32(target, source)
        _move_32(target + count - 32, source + count - 32)
    elif count >= 16:
        _move_16(target, source)
        _move_16(target + count - 16, source + count - 16)
    elif count >= 8:
        _move_8(target, source)
        _move_8(target + count - 8, source + count - 8)
    elif count >= 4:
        _move_4(target, source)
        _move_4(target + count - 4, source + count - 4)
    elif count >= 2:
        _move_2(target, source)
        _move_2(target + count - 2, source + count - 2)
    elif count == 1:
        _move_1(target, source)


def _mirror(count, size):
    """An intrinsic `(target: int64, source: int64)` that moves `count` pixels of `size` bytes in reverse order.

    It reads and writes whole vectors: what it writes behind the pixels, less than `_VECTOR` bytes, means nothing.
    """
    order = [(count - 1 - n // size) * size + n % size for n in range(count * size)]
    order += list(range(count * size, -(-count * size // _VECTOR) * _VECTOR if count > 1 else size))

    @intrinsic
    def move(typing_context, target, source):
        def generate(context, builder, signature, arguments):
            pointers = [builder.inttoptr(a, ir.VectorType(_BYTE, len(order)).as_pointer()) for a in arguments]
            value = builder.load(pointers[1])
            value.align = 1
            mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
            builder.store(builder.shuffle_vector(value, value, mask), pointers[0]).align = 1
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return move


_mirror_16_of_1, _mirror_16_of_3, _mirror_5_of_3 = _mirror(16, 1), _mirror(16, 3), _mirror(5, 3)
_move_pixel = _mirror(1, 3)
_WINDOW = 21  # pixels of three bytes in the longest vector, less one byte
_mirror_window = _mirror(_WINDOW, 3)


@device_function
def mirror_row(target, source, width, size):
    """Copy `width` pixels of `size` bytes in reverse order, between addresses of memory that does not overlap."""
    x, end = 0, source + width * size
    if size == 1:
        while x + 16 <= width:
            _mirror_16_of_1(target + x, end - x - 16)
            x += 16
        while x < width:
            _move_1(target + x, end - x - 1)
            x += 1
    elif size == 3:
        while x + 16 <= width:
            _mirror_16_of_3(target + 3 * x, end - 3 * x - 48)
            x += 16
        # the byte that is read beyond five pixels, and the one that is written there, have to be in the row
        while x < width:
            if 0 < x < width - 5:
                _mirror_5_of_3(target + 3 * x, end - 3 * x - 15)
                x += 5
            else:
                _move_pixel(target + 3 * x, end - 3 * x - 3)
                x += 1
    else:
        for x in range(width):
            copy_bytes(target + x * size, end - (x + 1) * size, size)


@device_function
def mirror_rows(target, source, height, width, size):
    """`mirror_row` for `height` rows that follow one another, at both addresses."""
    length, whole = width * size, np.int64(0)
    if size == 3 and width >= _WINDOW:
        # the byte behind a window is written over by the next one, or by the next row; so the last row goes by itself
        whole = max(whole, height - 1)
        for y in range(whole):
            row, end = target + y * length, source + (y + 1) * length
            x = np.int64(0)
            while x < width - _WINDOW:
                _mirror_window(row + 3 * x, end - 3 * (x + _WINDOW))
                x += _WINDOW
            _mirror_window(row + 3 * (width - _WINDOW), end - length)
    for y in range(whole, height):
        mirror_row(target + y * length, source + y * length, width, size)
