"""Positions of its own for a forked process, in the files that it has got open from its parent.

Fork leaves both one position in each of them, which either moves for the other. Python, tarfile, zipfile and most
others seek to where they read: what comes, if another process seeks between the two, is another sample's data.
"""

from __future__ import annotations

import fcntl
import os
import stat

_KEPT_FLAGS = os.O_ACCMODE | getattr(os, "O_DIRECT", 0)  # of how a file was opened; others would open something else


def take_own_positions() -> None:
    """Open the regular files anew that this process can read, each under its number, and where it stands.

    A file that cannot be opened any more, as after a change of the user, cannot be read any more: that is an error
    where it matters, and not another sample's data. Files that are only written or appended to, such as logs, stay
    common, and so do those of the standard streams.
    """
    nothing = os.open(os.devnull, os.O_WRONLY)
    streams = {_file_id(descriptor) for descriptor in range(3)}
    for descriptor in _open_descriptors():
        try:
            flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
            if not _is_read(descriptor, flags) or _file_id(descriptor) in streams:
                continue
            position = os.lseek(descriptor, 0, os.SEEK_CUR)
        except OSError:  # closed, or a mere name of a file (O_PATH)
            continue
        try:
            reopened = os.open(f"/proc/self/fd/{descriptor}", flags & _KEPT_FLAGS)
            os.lseek(reopened, position, os.SEEK_SET)
        except OSError:
            reopened = os.dup(nothing)
        os.dup2(reopened, descriptor, os.get_inheritable(descriptor))
        os.close(reopened)
    os.close(nothing)


def _open_descriptors() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:  # not mounted, as in some containers
        return list(range(256))


def _file_id(descriptor: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(descriptor)
    except OSError:  # it is closed
        return None
    return status.st_dev, status.st_ino


def _is_read(descriptor: int, flags: int) -> bool:
    is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    return is_regular and flags & os.O_ACCMODE != os.O_WRONLY and not flags & os.O_APPEND
