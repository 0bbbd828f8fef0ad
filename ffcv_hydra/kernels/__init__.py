"""Numba kernels on plain arrays: they know nothing of FFCV, torch or configs, and what is random takes its key."""
