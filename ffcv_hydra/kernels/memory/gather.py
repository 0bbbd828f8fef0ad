"""Copying of stored bytes into rows."""

from numba import types

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.memory.copies import copy_bytes, zero_bytes

_int64s = types.Array(types.int64, 1, "C")


@kernel(
    types.void(
        types.Array(types.uint8, 1, "C", readonly=True), _int64s, _int64s, types.Array(types.uint8, 2, "C"), types.int64
    )
)  # fmt: skip
def gather(data, offsets, sizes, target, column):
    """Copy data[offsets[n] : offsets[n] + sizes[n]] into row n of `target`, from `column` on, and zeros behind it.

    Args:
        data: uint8, the file or a part of it.
        offsets, sizes: int64 (N,), in bytes; no size is larger than what is left of a row.
        target: uint8 (N, B).
    """
    for n in range(len(offsets)):
        end = column + sizes[n]
        copy_bytes(target[n, column:].ctypes.data, data[offsets[n] :].ctypes.data, sizes[n])
        zero_bytes(target[n, end:].ctypes.data, target.shape[1] - end)
