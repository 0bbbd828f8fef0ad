"""What is whole takes the place of what was there, be it a file or a folder.

A file replaces a file at once. No system call replaces a folder, so the old one goes to `.NAME.replaced`, the new one
comes, and the old one is removed. Whoever is killed in between leaves the path empty, with both beside it and whole:
`mend` lets the old one be there again, and the conversion goes on.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from ffcv_hydra.beton_path import INDEX_NAME
from ffcv_hydra.errors import ConversionError

_OURS = re.compile(
    r"\d{5,}\.beton(\.partial(\.journal)?)?|manifest-[0-9a-f]{16}\.zz|\..*\.writing|" + re.escape(INDEX_NAME)
)


def put_in_place(new: Path, path: Path) -> None:
    """Let `new`, which has reached the disk, be at `path`, and remove what was there.

    Raises:
        ConversionError: if that is a folder with files that no conversion has made.
    """
    if new.is_dir() or path.is_dir():
        old = replaced_path(path)
        _remove(old)
        if path.is_dir():
            check_is_ours(path)
        if path.exists():
            os.rename(path, old)
        os.rename(new, path)
        sync_directory(path.parent)
        _remove(old)
    else:
        os.replace(new, path)
        sync_directory(path.parent)


def mend(path: Path) -> None:
    """Undo what `put_in_place` has left unfinished at `path`, or finish it."""
    if not path.exists() and replaced_path(path).exists():
        os.rename(replaced_path(path), path)
    _remove(replaced_path(path))


def replaced_path(path: Path) -> Path:
    """Where what was at `path` is, while it is replaced."""
    return path.with_name(f".{path.name}.replaced")


def remove_folder(folder: Path) -> None:
    """Remove a folder of shards, finished or not, if there is one; raises as `check_is_ours`."""
    if folder.is_dir():
        check_is_ours(folder)
        shutil.rmtree(folder)


def check_is_ours(folder: Path) -> None:
    """Raise `ConversionError` if a folder has anything that no conversion makes, so that it may be somebody's."""
    if folder.is_symlink():
        raise ConversionError(f"cannot write {folder}: it is a link; remove it")
    strange = next((path for path in sorted(folder.iterdir()) if not _OURS.fullmatch(path.name) or path.is_dir()), None)
    if strange is not None:
        raise ConversionError(f"cannot replace {folder}: {strange.name} in it is none of its shards; move it elsewhere")


def sync_directory(directory: Path) -> None:
    """Let the names in a folder reach the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        remove_folder(path)
    else:
        path.unlink(missing_ok=True)
