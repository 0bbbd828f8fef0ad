"""Files at addresses: mapped so that no descriptor stays open for them, one by itself or several in one range."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os

import numpy as np

_mmap = ctypes.CDLL(None, use_errno=True).mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
_MAP_FIXED = 0x10  # on every Linux; Python's module has no such flag, since it maps nowhere in particular


def reserved(num_bytes: int) -> np.ndarray:
    """uint8 (num_bytes,), read only: a range of addresses that takes no memory. Raises `OSError`."""
    room = mmap.mmap(-1, num_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ)
    return np.frombuffer(room, dtype=np.uint8)


def unmap(room: np.ndarray, start: int, num_bytes: int) -> None:
    """Leave again, empty, what a file took of a reserved range by `map_into`. Raises `OSError`."""
    _map(room.ctypes.data + start, num_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)


def map_into(room: np.ndarray, start: int, num_bytes: int, descriptor: int) -> None:
    """Put a file's bytes into a reserved range, from byte `start` of that on, a multiple of the system's pages.

    Raises:
        MemoryError: the system maps no more files at a time (vm.max_map_count).
        OSError: it cannot be mapped.
    """
    _map(room.ctypes.data + start, num_bytes, mmap.MAP_SHARED, descriptor)


def _map(address: int, num_bytes: int, flags: int, descriptor: int) -> None:
    found = _mmap(address, num_bytes, mmap.PROT_READ, flags | _MAP_FIXED, descriptor, 0)
    if found != address:
        number = ctypes.get_errno()
        if number == errno.ENOMEM:
            raise MemoryError
        raise OSError(number, os.strerror(number))
