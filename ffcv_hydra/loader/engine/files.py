"""The open files of one loader: one range of addresses, bytes read at an offset, and whether they are as long as ever.

Knows files by number and what lies where; nothing of samples.
"""

import ctypes
import errno
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from ffcv_hydra.beton.reading.exact_reading import read_at
from ffcv_hydra.beton.stored_file import StoredFile
from ffcv_hydra.errors import BetonError

HELD_OPEN = 256  # files; the others are opened for each look and closed again
_CHANGED = "the file was changed while it was open; restore it, or convert it again"


class Files:
    """Safe to use from several threads.

    Args:
        stored: by ascending start.

    Raises:
        BetonError: if one cannot be opened.
    """

    def __init__(self, stored: Sequence[StoredFile]) -> None:
        self._stored = stored
        self._starts = np.array([file.start for file in stored], dtype=np.int64)
        self.is_single = len(stored) == 1
        self._held: list[int] = []
        for number, file in enumerate(stored[:HELD_OPEN]):
            with _blaming(file):
                self._held.append(os.open(file.path, os.O_RDONLY))
            self._check(number)

    def close(self) -> None:
        """Close the files; a second call does nothing."""
        held, self._held = self._held, []
        for descriptor in held:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()

    def map(self) -> np.ndarray:
        """uint8: all bytes by their offsets, from the page cache, for as long as the array is there."""
        last = self._stored[-1]
        with _blaming(last):
            room = mmap.mmap(-1, last.start + last.num_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ)
        data = np.frombuffer(room, dtype=np.uint8)
        for number, file in enumerate(self._stored):
            with _blaming(file), self._descriptor(number) as descriptor:
                try:
                    _map_at(data.ctypes.data + file.start, file.num_bytes, descriptor)
                except MemoryError:
                    raise BetonError(
                        f"{file.path}: file {number + 1} of {len(self._stored)} is one more than this system maps at a "
                        "time (vm.max_map_count): use os_cache=false"
                    ) from None
        return data

    def check(self, offsets: np.ndarray) -> None:
        """Look whether the files that hold bytes at `offsets` are as long as they were.

        Reading a mapped file beyond its end kills the process. The look takes less than a microsecond for a file, and
        comes before each chunk: only what is cut while a chunk is read ends in SIGBUS.

        Raises:
            BetonError: if one is not.
        """
        if self.is_single:
            self._check(0)
            return
        for number in set((np.searchsorted(self._starts, offsets.astype(np.int64), side="right") - 1).tolist()):
            self._check(number)

    def check_all(self) -> None:
        """As `check`, of every file."""
        for number in range(len(self._stored)):
            self._check(number)

    def read(self, offset: int, target: np.ndarray) -> None:
        """Fill `target`, uint8, with the bytes from `offset` on, which lie in one file.

        Raises:
            BetonError: if the file ends before, or cannot be read.
        """
        number = int(np.searchsorted(self._starts, offset, side="right")) - 1
        file = self._stored[number]
        with _blaming(file), self._descriptor(number) as descriptor:
            count = read_at(descriptor, offset - file.start, target)
        if count < len(target):
            end = offset - file.start + len(target)
            raise BetonError(f"{file.path}: the file ends before byte {end}; it was cut short")

    def read_page(self, offset: int, page_size: int) -> np.ndarray:
        """uint8: a page of a file, or what that has of it. Raises as `read`."""
        file = self._stored[int(np.searchsorted(self._starts, offset, side="right")) - 1]
        page = np.empty(min(page_size, file.start + file.num_bytes - offset), dtype=np.uint8)
        self.read(offset, page)
        return page

    def _check(self, number: int) -> None:
        file = self._stored[number]
        with _blaming(file):
            if number < len(self._held):
                # a quarter of what `fstat` costs; no read is by position
                num_bytes = os.lseek(self._held[number], 0, os.SEEK_END)
            else:
                num_bytes = os.stat(file.path).st_size
        if num_bytes != file.num_bytes:
            raise BetonError(f"{file.path}: {_CHANGED}")

    @contextmanager
    def _descriptor(self, number: int) -> Iterator[int]:
        if number < len(self._held):
            yield self._held[number]
            return
        file = self._stored[number]
        descriptor = os.open(file.path, os.O_RDONLY)
        try:
            if os.fstat(descriptor).st_size != file.num_bytes:
                raise BetonError(f"{file.path}: {_CHANGED}")
            yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def _blaming(file: StoredFile) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BetonError(f"{file.path}: cannot be read: {error.strerror or error}") from error


_mmap = ctypes.CDLL(None, use_errno=True).mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
_MAP_FIXED = 0x10  # on every Linux; Python's module has no such flag, since it maps nowhere in particular


def _map_at(address: int, num_bytes: int, descriptor: int) -> None:
    """Put a file's bytes in the place of what is mapped at an address. Raises `OSError`."""
    found = _mmap(address, num_bytes, mmap.PROT_READ, mmap.MAP_SHARED | _MAP_FIXED, descriptor, 0)
    if found != address:
        number = ctypes.get_errno()
        if number == errno.ENOMEM:
            raise MemoryError
        raise OSError(number, os.strerror(number))
