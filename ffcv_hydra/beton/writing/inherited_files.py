"""Files that worker processes have got open from their parent: with one position in each, which all of them move.

Python, tarfile, zipfile and most others seek to where they read. Between the two, another process may move the position
that fork has left them in common: what comes is another sample's data.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Collection

from ffcv_hydra.errors import ConversionError

MAX_DUPLICATES = 100  # a process may often have no more than 1,024 descriptors

FileId = tuple[int, int]  # device and inode


class InheritedFiles:
    """The regular files that this process can read and has got open.

    Args:
        ignored: Files of whoever started this process, which move meanwhile. Those of the standard streams, such as a
            log that all write, are ignored too.
    """

    def __init__(self, ignored: Collection[FileId]) -> None:
        ignored = {*ignored, *(file_id(descriptor) for descriptor in range(3))}
        found = [number for number in readable_files() if file_id(number) not in ignored]
        # A duplicate has the same position, and is still that of the same file when the dataset has opened another.
        duplicate = os.dup if len(found) <= MAX_DUPLICATES else int
        self._files = {duplicate(descriptor): _name(descriptor) for descriptor in found}
        self._positions: dict[int, int] = {}

    def note_positions(self) -> None:
        """Note where they stand now."""
        self._positions = {descriptor: os.lseek(descriptor, 0, os.SEEK_CUR) for descriptor in self._files}

    def check(self) -> None:
        """Raise `ConversionError` if one was moved since their positions were noted."""
        for descriptor, position in self._positions.items():
            if os.lseek(descriptor, 0, os.SEEK_CUR) != position:
                raise ConversionError(
                    f"the dataset reads {self._files[descriptor]} through a file that was open before the workers "
                    f"started: they move its position for one another, and get wrong data; let __getitem__ open it, "
                    f"once per process (os.getpid()), or read it by os.pread, or use num_workers=1"
                )


def file_id(descriptor: int) -> FileId:
    """What tells the file of a descriptor from others."""
    try:
        status = os.fstat(descriptor)
    except OSError:  # it is closed
        return -1, -1
    return status.st_dev, status.st_ino


def readable_files() -> list[int]:
    """The descriptors of regular files that this process can read and has got open."""
    try:
        descriptors = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:  # no /proc, as in some containers
        descriptors = list(range(256))
    return [descriptor for descriptor in descriptors if _is_read(descriptor)]


def _is_read(descriptor: int) -> bool:
    try:
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False
    return is_regular and flags & os.O_ACCMODE != os.O_WRONLY and not flags & os.O_APPEND


def _name(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # not on Linux
        return "a file"
