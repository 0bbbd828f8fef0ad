"""Arrays at addresses, for kernels that fill several arrays of different sizes in one call."""

import numba
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.compilation import device_function


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
