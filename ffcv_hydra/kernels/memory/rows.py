"""Rows of tables that lie in several places, such as one in each of several files."""

from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.compiling.pointers import int64s_at
from ffcv_hydra.kernels.memory.copies import copy_bytes

ALL_THERE, UNKNOWN_ROW = -1, -2

_int64s = types.Array(types.int64, 1, "C")


@device_function
def _last_at_most(sorted_numbers, number):
    """The last position in an array of ascending numbers whose number is at most `number`."""
    low, high = 0, len(sorted_numbers)
    while high - low > 1:
        middle = (low + high) // 2
        if sorted_numbers[middle] <= number:
            low = middle
        else:
            high = middle
    return low


@kernel(
    types.int64(_int64s, _int64s, _int64s, _int64s, types.int64, _int64s, types.Array(types.uint8, 2, "C"))
)  # fmt: skip
def gather_rows(first_rows, addresses, strides, starts, pointer_at, rows, target):
    """Copy rows, which are counted through all tables.

    Args:
        first_rows: int64 (T + 1,), ascending: the first row of each table, and the number of all.
        addresses: int64 (T,), where the first row of each begins; 0 of a table that is not there yet.
        strides: int64 (T,), bytes from one row to the next.
        starts: int64 (T,), what is added to the 64-bit number at byte `pointer_at` of a row of each table.
        pointer_at: -1 for none.
        rows: int64 (N,).
        target: uint8 (N, B).

    Returns:
        `ALL_THERE`; `UNKNOWN_ROW` if one is not in [0, number of all); or the first table that is needed and not there.
    """
    table, count, width = 0, first_rows[-1], target.shape[1]
    for n in range(len(rows)):
        row = rows[n]
        if row < 0 or row >= count:
            return UNKNOWN_ROW
        if row < first_rows[table] or row >= first_rows[table + 1]:
            table = _last_at_most(first_rows, row)
        if addresses[table] == 0:
            return table
        to = target.ctypes.data + n * width
        copy_bytes(to, addresses[table] + (row - first_rows[table]) * strides[table], width)
        if pointer_at >= 0:
            int64s_at(to + pointer_at, 1)[0] += starts[table]
    return ALL_THERE
