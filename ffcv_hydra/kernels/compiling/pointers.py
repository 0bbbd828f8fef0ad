"""Arrays and functions at addresses: several arrays of different sizes in one call, code that is compiled by itself."""

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.numba_internals import cgutils


@intrinsic
def _pointer(typing_context, address, like):
    """An int64 address as a pointer to what the array `like` holds."""

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(types.int64, like), generate


@device_function
def array_at(address, shape, like):
    """The C-contiguous array of `shape` at an address, of the dtype of the array `like`; it owns no memory."""
    return numba.carray(_pointer(address, like), shape)  # type: ignore[call-arg]  # numba adds the typing context


@device_function
def unowned(array):
    """The same C-contiguous array, which nobody counts references to: an atomic step for each view of it is saved."""
    return array_at(array.ctypes.data, array.shape, array)


def _pointer_to(kind):
    """An intrinsic `pointer(address: int64)` to values of a type."""

    @intrinsic
    def pointer(typing_context, address):
        def generate(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), generate

    return pointer


_pointer_to_int16s, _pointer_to_int32s = _pointer_to(types.int16), _pointer_to(types.int32)
_pointer_to_bytes, _pointer_to_int64s = _pointer_to(types.uint8), _pointer_to(types.int64)
_pointer_to_uint64s, _pointer_to_float64s = _pointer_to(types.uint64), _pointer_to(types.float64)


@device_function
def bytes_at(address, count):
    """The uint8 array (count,) at an address; it owns no memory."""
    return numba.carray(_pointer_to_bytes(address), count)


@device_function
def int16s_at(address, shape):
    """The C-contiguous int16 array of `shape` at an address; it owns no memory."""
    return numba.carray(_pointer_to_int16s(address), shape)


@device_function
def int32s_at(address, shape):
    """The C-contiguous int32 array of `shape` at an address; it owns no memory."""
    return numba.carray(_pointer_to_int32s(address), shape)


@device_function
def int64s_at(address, count):
    """The int64 array (count,) at an address; it owns no memory."""
    return numba.carray(_pointer_to_int64s(address), count)


@device_function
def uint64_at(address):
    """The uint64 at an address."""
    return numba.carray(_pointer_to_uint64s(address), 1)[0]


@device_function
def float64s_at(address, count):
    """The float64 array (count,) at an address; it owns no memory."""
    return numba.carray(_pointer_to_float64s(address), count)


@intrinsic
def store_int16(typing_context, address, value):
    """Write the lower 16 bits of an int64 to an even address."""

    def generate(context, builder, signature, arguments):
        half = ir.IntType(16)
        builder.store(builder.trunc(arguments[1], half), builder.inttoptr(arguments[0], half.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def store_uint64(typing_context, address, value):
    """Write a uint64 to any address."""

    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        builder.store(arguments[1], pointer).align = 1
        return context.get_dummy_value()

    return types.void(types.int64, types.uint64), generate


@intrinsic
def call_address(typing_context, address, arguments):
    """Call the kernel at an int64 address (`Kernel.address`) with a tuple of integers; its result, an int64.

    What is called so is compiled once, by itself, and not once more with each of its callers.
    """

    def generate(context, builder, signature, values):
        number = ir.IntType(64)
        function = ir.FunctionType(number, [number] * len(arguments))
        parts = [
            context.cast(builder, part, kind, types.int64)
            for part, kind in zip(cgutils.unpack_tuple(builder, values[1]), arguments, strict=True)
        ]
        return builder.call(builder.inttoptr(values[0], function.as_pointer()), parts)

    return types.int64(types.int64, arguments), generate
