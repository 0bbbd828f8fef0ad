"""A permutation as the order of random keys, in two passes over one array, and what sorts it in between."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.random.generator import mixed


@kernel("void(uint64, int64, uint64[::1])")
def fill_with_keys(key, num_bits, target):
    """Give each position n a random number, `mixed(key, n)`, with n itself in place of its lowest `num_bits` bits.

    To sort numbers takes a fraction of the time that to sort positions does.
    """
    low = (np.uint64(1) << np.uint64(num_bits)) - np.uint64(1)
    for n in range(len(target)):
        position = np.uint64(n)
        target[n] = (mixed(key, position) & ~low) | position


@kernel("boolean(uint64[::1], int64, int64[::1], int64[::1])")
def pick_by_keys(ordered, num_bits, indices, target):
    """Write indices[position] for the positions in `ordered`, which `fill_with_keys` gave and which have been sorted.

    Returns:
        Whether the order is the one of the random numbers: not if two differ in the bits that the positions took alone.
    """
    low = (np.uint64(1) << np.uint64(num_bits)) - np.uint64(1)
    same = False
    for n in range(len(ordered)):
        target[n] = indices[np.int64(ordered[n] & low)]
        same |= n > 0 and (ordered[n] ^ ordered[n - 1]) <= low
    return not same
