"""A keyed permutation of [0, count) that is computed place by place, for any count, without an array of its places.

A number is written as two digits, of bases that are as near to the root of `count` as can be, and each digit in turn is
shifted by a random function of the other one: a generalised Feistel network. The few results that are not below `count`
are sent through it again until they are (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).
"""

import math

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.random.generator import mixed, mixed_in

# By 16 rounds or fewer the permutations of 5 to 8 numbers do not come equally often; a round takes 0.4 ns per number.
_ROUNDS = 24
_AT_ONCE = 256  # whose numbers, digits and places stay in the processor's first cache
_S32 = np.uint64(32)


@device_function
def _shift(digits, others, key, base, count):
    for i in range(count):
        shifted = digits[i] + (((mixed_in(key, others[i]) >> _S32) * base) >> _S32)
        digits[i] = min(shifted, shifted - base)  # unsigned: the difference is large where it would be below 0


@kernel("void(uint64, uint64, uint64, int64[::1], int64[::1])")
def permute(key, count, base, positions, target):
    """Write the number in [0, count) that is at each of some positions.

    Args:
        key: another permutation for every other one.
        base: of the higher digit, below 2**32; of the lower one it is the least that suffices. With an odd base for
            both only even permutations could come.
        positions: int64 (M,), each in [0, count).
        target: int64 (M,), written.
    """
    lower_base = (count + base - np.uint64(1)) // base
    keys = np.empty(_ROUNDS, dtype=np.uint64)
    for i in range(_ROUNDS):
        keys[i] = mixed(key, np.uint64(i))
    numbers, places = np.empty(_AT_ONCE, dtype=np.uint64), np.empty(_AT_ONCE, dtype=np.int64)
    higher, lower = np.empty(_AT_ONCE, dtype=np.uint64), np.empty(_AT_ONCE, dtype=np.uint64)
    for begin in range(0, len(positions), _AT_ONCE):
        left = min(_AT_ONCE, len(positions) - begin)
        for i in range(left):
            numbers[i] = np.uint64(positions[begin + i])
            places[i] = begin + i
        while left > 0:
            for i in range(left):
                higher[i] = numbers[i] // lower_base
                lower[i] = numbers[i] - higher[i] * lower_base
            for i in range(0, _ROUNDS, 2):
                _shift(higher, lower, keys[i], base, left)
                _shift(lower, higher, keys[i + 1], lower_base, left)
            again = 0
            for i in range(left):
                number = higher[i] * lower_base + lower[i]
                if number < count:
                    target[places[i]] = np.int64(number)
                else:
                    numbers[again], places[again] = number, places[i]
                    again += 1
            left = again


def permuted(key: np.ndarray, count: int, positions: np.ndarray) -> np.ndarray:
    """The numbers at some positions of a random order of [0, count).

    Args:
        key: uint64 (1,); another order for every other one.
        count: from 0 to 2**63.
        positions: int64 (M,), each in [0, count).

    Returns:
        int64 (M,): of all positions together, each number once.

    Raises:
        IndexError: a position is outside.
    """
    if len(positions) and not 0 <= positions.min() <= positions.max() < count:
        raise IndexError(f"positions from {positions.min()} to {positions.max()} of an order of {count}")
    target = np.empty(len(positions), dtype=np.int64)
    base = math.isqrt(max(count - 1, 0)) + 1
    permute(key[0], count, base + base % 2, np.ascontiguousarray(positions), target)
    return target
