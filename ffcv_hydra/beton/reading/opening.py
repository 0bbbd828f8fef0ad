"""A beton's file, opened: whatever is wrong with it becomes one error that names it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

import numpy as np

from ffcv_hydra.beton.format import HEADER
from ffcv_hydra.beton.reading import checks
from ffcv_hydra.beton_path import INDEX_NAME
from ffcv_hydra.errors import BetonError


@contextmanager
def opened_file(path: Path) -> Iterator[BufferedReader]:
    """The file, for reading; errors in the block become a `BetonError` that names it."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening a pipe may wait for ever
            raise BetonError("is a device, pipe or socket; name a .beton file")
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError as error:
        raise BetonError(f"{path}: no such file; convert the dataset first, or correct the path") from error
    except IsADirectoryError as error:
        what = "is a directory; name the .beton file in it"
        if any(path.glob("[0-9]*.beton")):
            what = f"is a folder of shards without its {INDEX_NAME}; restore that, or convert or merge again"
        raise BetonError(f"{path}: {what}") from error
    except OSError as error:
        raise BetonError(f"{path}: cannot be read: {error.strerror or error}") from error
    except BetonError as error:
        raise BetonError(f"{path}: {error}") from error


def read_records(file: BufferedReader, offset: int, dtype: np.dtype, count: int) -> np.ndarray:
    """Up to `count` records; fewer if the file ends before."""
    file.seek(offset)
    available = max(os.fstat(file.fileno()).st_size - offset, 0) // dtype.itemsize
    content = bytearray(min(count, available) * dtype.itemsize)
    return np.frombuffer(content[: file.readinto(content)], dtype=dtype)  # `fromfile` makes Ctrl-C a TypeError


def read_page_size(path: str | os.PathLike[str]) -> int:
    """The bytes of a page of the beton at `path`. Raises `BetonError` if it is missing, or is none."""
    with opened_file(Path(path)) as file:
        header = checks.check_header(read_records(file, 0, HEADER, 1), os.fstat(file.fileno()).st_size)
        return int(header["page_size"])
