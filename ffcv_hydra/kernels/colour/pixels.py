"""Images in vector code: so many values or pixels at once, whatever the rows are."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import inlined_function
from ffcv_hydra.kernels.memory.copies import copy_bytes


@inlined_function  # numba keeps no code on disk to which a function was passed
def change_in_vectors(change, step, arguments, source, target):
    """Let a function change the bytes of an image, the last ones in memory that has room for as many as it takes.

    Args:
        change: called with the addresses of bytes and of their result, and `arguments`.
        step: how many bytes it takes.
        arguments: a tuple.
        source, target: uint8, of one shape; may be the same one.
    """
    before, after, size = source.ctypes.data, target.ctypes.data, source.size
    rest = np.empty(step, dtype=np.uint8)
    for i in range(0, size - step + 1, step):
        change(before + i, after + i, *arguments)
    count = size % step
    if count > 0:
        copy_bytes(rest.ctypes.data, before + size - count, count)
        change(rest.ctypes.data, rest.ctypes.data, *arguments)
        copy_bytes(after + size - count, rest.ctypes.data, count)
