"""Locks between all that use the data cache: on bytes of one file, each of which stands for something.

One open file has any number of them, and they end with it, however its process ends. Within a process, too, they hold
between one open file and another (`F_OFD_SETLK`).
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

_NAME = ".locks"
_EVERYTHING = 0  # the byte of the whole cache; a folder has two further ones, by its name
_FLOCK = "hhqqi0q"  # kind, whence, first byte, number of bytes, pid


@contextmanager
def locked_cache(cache: Path) -> Iterator[Callable[[Path], bool]]:
    """Have what the cache holds counted and evicted by one at a time.

    Gives a function that claims a folder, so that nobody begins to use it meanwhile; False if somebody does already.

    Raises:
        OSError: the cache cannot be written to.
    """
    with _opened(cache) as file:
        _lock(file, _EVERYTHING, fcntl.F_WRLCK, wait=True)
        yield lambda folder: _lock(file, _byte(folder), fcntl.F_WRLCK)


@contextmanager
def downloading(folder: Path) -> Iterator[bool]:
    """Be the one who downloads into a folder of the cache; gives False, at once, if another is. Raises `OSError`."""
    with _opened(folder.parent) as file:
        yield _lock(file, _byte(folder) + 1, fcntl.F_WRLCK)


class Uses:
    """The folders of the cache that are in use here: what lies in them is not evicted, until they are let go.

    Safe to use from several threads. What a forked process inherits is in use until that one ends, too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[Path, int] = {}
        self._process = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, folder: Path) -> None:
        """Use a folder, which needs not be there yet. Where the cache cannot be written to, nobody evicts."""
        cache = folder.parent
        with self._lock, suppress(OSError):
            if cache not in self._files:
                self._files[cache] = _open(cache, is_read=True)
            _lock(self._files[cache], _byte(folder), fcntl.F_RDLCK, wait=True)

    def end(self, folder: Path) -> None:
        """Use it no longer."""
        with self._lock:
            if folder.parent in self._files and self._process == os.getpid():  # a lock is the parent's, too
                _lock(self._files[folder.parent], _byte(folder), fcntl.F_UNLCK)

    def close(self) -> None:
        """Use nothing any longer; a second call does nothing."""
        files, self._files = self._files, {}
        for file in files.values():
            os.close(file)

    def __del__(self) -> None:
        self.close()


@contextmanager
def _opened(cache: Path) -> Iterator[int]:
    file = _open(cache)
    try:
        yield file
    finally:
        os.close(file)


def _open(cache: Path, is_read: bool = False) -> int:
    path = cache / _NAME
    for flags in (os.O_RDWR, os.O_RDONLY)[: 1 + is_read]:  # the second one is enough for what is in use
        with suppress(OSError):
            return os.open(path, flags)
    cache.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    with suppress(OSError):  # for all who may write to the cache, whatever the umask is
        os.fchmod(file, os.stat(cache).st_mode & 0o666)
    return file


def _byte(folder: Path) -> int:
    return 2 + 2 * int(folder.name[:14], 16)


def _lock(file: int, byte: int, kind: int, wait: bool = False) -> bool:
    command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    try:
        fcntl.fcntl(file, command, struct.pack(_FLOCK, kind, os.SEEK_SET, byte, 1, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True
