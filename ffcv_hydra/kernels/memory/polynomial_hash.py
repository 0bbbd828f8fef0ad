"""A hash of a sequence of records that is the same however the sequence is cut, and put together from its pieces.

Each record is hashed by XXH64 to a number h. The hash of n of them is the sum of h_i * r**(n - 1 - i) modulo the
Mersenne prime 2**61 - 1, for two bases r: that of A followed by B is hash(A) * r**len(B) + hash(B) (Karp and Rabin,
"Efficient randomized pattern-matching algorithms", 1987). A million records of 32 bytes take about 30 ms.
"""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.memory.checksum import xxh64

MODULUS = (1 << 61) - 1
BASES = (0x1E3779B97F4A7C15, 0x02B2AE3D27D4EB4F)  # below the modulus; any two that nobody has chosen data for

_PRIME = np.uint64(MODULUS)
_BASE_1, _BASE_2 = (np.uint64(base) for base in BASES)
_LOW = np.uint64(0xFFFFFFFF)
_S3, _S32, _S61 = np.uint64(3), np.uint64(32), np.uint64(61)


@device_function
def _reduced(value):
    value = (value & _PRIME) + (value >> _S61)
    return value - _PRIME if value >= _PRIME else value


@device_function
def _times(a, b):
    """a * b modulo the prime, of two numbers below it: their 122 bits are (high << 64) | low."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _S32, b & _LOW, b >> _S32
    middle = a_high * b_low + ((a_low * b_low) >> _S32)
    further = a_low * b_high + (middle & _LOW)
    high = a_high * b_high + (middle >> _S32) + (further >> _S32)
    low = a * b
    return _reduced((low & _PRIME) + ((high << _S3) | (low >> _S61)))


_rows = types.Array(types.uint8, 2, "C", readonly=True)


@kernel(types.void(_rows, types.Array(types.int64, 1, "C"), _rows, types.Array(types.uint64, 1, "C")))
def append_records(records, columns, further, values):
    """Take further records into a hash.

    Args:
        records: uint8 (N, itemsize).
        columns: int64 (K,); which of a record's bytes count.
        further: uint8 (N, F); what counts of each record besides.
        values: uint64 (2,); the hash, for both bases; overwritten.
    """
    num_columns, num_further = len(columns), further.shape[1]
    content = np.empty(num_columns + num_further, dtype=np.uint8)
    for n in range(len(records)):
        for k in range(num_columns):
            content[k] = records[n, columns[k]]
        for k in range(num_further):
            content[num_columns + k] = further[n, k]
        found = _reduced(xxh64(content, 0, len(content)))
        values[0] = _reduced(_times(values[0], _BASE_1) + found)
        values[1] = _reduced(_times(values[1], _BASE_2) + found)
