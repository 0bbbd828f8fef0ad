"""A file that appears at its path only when it is whole."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ffcv_hydra.errors import ConversionError


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` for writing; rename it to `path` when the block ends well.

    The data reach the disk before the name does (fsync of the file, rename, fsync of the directory). If the block
    raises, KeyboardInterrupt included, the temporary file is removed and what was at `path` stays.

    Raises:
        ConversionError: if the file cannot be written: no permission, disk full, `path` is a directory, ...
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise ConversionError(f"cannot write {path}: it is a directory; name a file in it")
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except OSError as error:
        raise ConversionError(f"cannot write {path}: {error.strerror or error}; choose another path") from error


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
