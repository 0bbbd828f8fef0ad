"""Counter-based random numbers: pure functions of a 64-bit key.

A key is mixed from what identifies a draw (seed, epoch, sample, operation ...) with the finaliser of SplitMix64
(Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; constants: Stafford's variant
13). Draw number i of a key is the i-th output of SplitMix64 seeded with that key. There is no state, so no draw depends
on threads, chunks, ranks or on what was drawn before.
"""

import functools

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_TO_UNIT = 1.0 / (1 << 53)


@device_function
def _mix(z):
    z = (z ^ (z >> _S30)) * _MULTIPLIER_1
    z = (z ^ (z >> _S27)) * _MULTIPLIER_2
    return z ^ (z >> _S31)


@device_function
def uniform(key, draw):
    """Draw number `draw` (from 0) of `key`: a float64 in [0, 1) with 53 random bits."""
    z = _mix(key + (np.uint64(draw) + np.uint64(1)) * _GOLDEN)
    return np.float64(z >> _S11) * _TO_UNIT


@device_function
def randint(key, draw, stop):
    """Draw number `draw` of `key`: an integer in [0, stop), stop < 2**53."""
    return np.int64(uniform(key, draw) * stop)


@device_function
def premixed(part):
    """What `mixed_in` takes of a part, both uint64: half of the work, which is done once for many keys."""
    return _mix(part + _GOLDEN)


@device_function
def mixed_in(key, part):
    """Another key for every other part, `premixed`: one step of `fold`."""
    return _mix(key * _GOLDEN + part)


@device_function
def mixed(key, part):
    """`mixed_in` of a part as it is."""
    return mixed_in(key, premixed(part))


@kernel("void(uint64[::1], uint64[:, ::1], uint64[::1])", brief=True)
def fold_kernel(keys, parts, target):
    """Mix parts[:, n], or parts[:, 0] if there is one column, into keys[n], or keys[0] if there is one."""
    key_step = len(keys) > 1
    for n in range(len(target)):
        target[n] = keys[n * key_step]
    for p in range(len(parts)):
        if parts.shape[1] > 1:
            for n in range(len(target)):
                target[n] = mixed(target[n], parts[p, n])
        else:
            part = premixed(parts[p, 0])
            for n in range(len(target)):
                target[n] = mixed_in(target[n], part)


def _columns(*parts: int | np.ndarray) -> np.ndarray:
    """uint64 (P, N) of P parts, or (P, 1) if none is an array."""
    if len(parts) == 1 and isinstance(parts[0], np.ndarray):
        return np.ascontiguousarray(parts[0]).reshape(1, -1)
    width = max((len(part) for part in parts if isinstance(part, np.ndarray)), default=1)
    columns = np.empty((len(parts), width), dtype=np.uint64)
    for row, part in zip(columns, parts, strict=True):
        row[:] = part
    return columns


_constants = functools.lru_cache(maxsize=256)(_columns)  # each chunk of each batch has the same


def fold(keys: np.ndarray, *parts: int | np.ndarray) -> np.ndarray:
    """Mix `parts` one after another into `keys`.

    Args:
        keys: uint64 (N,) or (1,).
        parts: integers in [0, 2**64), or uint64 arrays that broadcast against `keys`.

    Returns:
        uint64 (N,): another key for every other combination; the order of the parts matters.
    """
    columns = _columns(*parts) if any(isinstance(part, np.ndarray) for part in parts) else _constants(*parts)  # type: ignore[arg-type]
    width = columns.shape[1]
    target = np.empty(width if len(keys) == 1 else len(keys), dtype=np.uint64)
    if width not in (1, len(target)):
        raise ValueError(f"{len(keys)} keys cannot be mixed with parts of {width}")
    fold_kernel(np.ascontiguousarray(keys), columns, target)
    return target


def key_of(*parts: int) -> np.ndarray:
    """A uint64 (1,) key of integers in [0, 2**64), to be passed to `fold`."""
    return fold(np.zeros(1, dtype=np.uint64), *parts)


def key_of_name(name: str) -> int:
    """A 64-bit integer of a text (FNV-1a), the same in every process and on every machine."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) % (1 << 64)
    return value
