"""Files that are there as a whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ffcv_hydra.errors import WriteError
from ffcv_hydra.locks import lock

_SUFFIX = ".writing"


@contextmanager
def written_beside(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` to write to: it becomes `path` at the end, and is removed after an exception.

    Whoever writes to a folder removes what a killed process has left there: the files that nobody holds a lock on.
    """
    _remove_abandoned(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{_SUFFIX}")
    try:
        with open(temporary, "xb") as file:
            with suppress(OSError):  # some network disks have no locks: there nothing is removed
                lock(file, wait=True)
            yield file
            file.flush()
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob(f".*{_SUFFIX}"):
        with suppress(OSError), open(path, "r+b") as file:  # which network disks want for a lock
            if lock(file) and os.fstat(file.fileno()).st_size:  # one that is empty may not be locked yet
                path.unlink()


def write_whole(path: Path, text: str) -> None:
    """Write a file such that a reader sees the old one or the new one, never a part; raises `OSError`."""
    with written_beside(path) as file:
        file.write(text.encode())


def save_whole(contents: Any, path: Path) -> None:
    """`torch.save` to a file that appears when it is whole; folders that are missing are made.

    Raises:
        WriteError: the disk is full, or the folder cannot be written to; what was at `path` is still there.
    """
    import torch  # takes a second to import, and most who write files here have no use for it

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(path) as file:
            torch.save(contents, file)
    except (OSError, RuntimeError) as error:
        # torch reports a failed write by a RuntimeError about positions, on top of the OSError
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise WriteError(f"{path} cannot be written: {cause.strerror}") from error
