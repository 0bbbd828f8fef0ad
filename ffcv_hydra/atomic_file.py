"""Files that are there as a whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ffcv_hydra.errors import WriteError


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to: what is there becomes `path` at the end, and is removed after an exception."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file such that a reader sees the old one or the new one, never a part; raises `OSError`."""
    with written_beside(path) as temporary:
        temporary.write_text(text)


def save_whole(contents: Any, path: Path) -> None:
    """`torch.save` to a file that appears when it is whole; folders that are missing are made.

    Raises:
        WriteError: the disk is full, or the folder cannot be written to; what was at `path` is still there.
    """
    import torch  # takes a second to import, and most who write files here have no use for it

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_beside(path) as temporary, open(temporary, "wb") as file:
            torch.save(contents, file)
    except (OSError, RuntimeError) as error:
        # torch reports a failed write by a RuntimeError about positions, on top of the OSError
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise WriteError(f"{path} cannot be written: {cause.strerror}") from error
