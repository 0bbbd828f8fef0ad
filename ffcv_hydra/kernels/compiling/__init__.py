"""How numba's kernels are compiled, and the words that they share."""
