"""Locks between processes, on files: one that ends, however it does, has none."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def lock(file: int | IO[bytes], wait: bool = False, shared: bool = False) -> bool:
    """Lock an open file, or folder, for as long as it is open; False if another process has it locked.

    Args:
        file: or its descriptor.
        wait: until it is free.
        shared: with others that share it.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def unlock(file: int | IO[bytes]) -> None:
    """Unlock a file now: a process that was forked meanwhile may have it open."""
    fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of the file at `path`, which is made if it is missing; gives False, at once, if another has it.

    Raises:
        OSError: it cannot be made, or the file system has no locks.
    """
    with open(path, "ab") as file:
        has_it = lock(file, wait)
        try:
            yield has_it
        finally:
            if has_it:
                unlock(file)
