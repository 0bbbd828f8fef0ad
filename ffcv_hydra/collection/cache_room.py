"""Room in the data cache: its limit, what is counted, and what is evicted for something new.

What was not used for the longest time goes first, as a whole, and never what somebody uses, in any process. Indexes
stay: they are small, and whoever has the path of one finds the rest by it. One process at a time counts and evicts, and
leaves a note of what it is about to download.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ffcv_hydra.collection.cache_locks import downloading, locked_cache
from ffcv_hydra.collection.index import INDEX_NAME
from ffcv_hydra.errors import RemoteError
from ffcv_hydra.sizes import parse_size

LIMIT = "FFCV_HYDRA_DATA_CACHE_LIMIT"
ABOUT = ".about.json"  # what came into a folder, and by its time when that was last used
_NOTE = ".coming"
_NAME = re.compile(r"[0-9a-f]{32}")


class NoRoom(RemoteError):
    """What is in use leaves no room in the cache: later there may be."""


def cache_limit() -> int | None:
    """Bytes that the cache may hold, of `FFCV_HYDRA_DATA_CACHE_LIMIT`; None: as many as the disk has room for.

    Raises:
        RemoteError: that is no size.
    """
    text = os.environ.get(LIMIT)
    if text is None:
        return None
    try:
        return parse_size(text)
    except ValueError as error:
        raise RemoteError(f"{LIMIT} is {error}") from None


def make_room(folder: Path, num_bytes: int, what: str) -> None:
    """Have the cache count bytes that are about to come into a folder, and evict others until they fit.

    Args:
        folder: the caller downloads into it, see `downloading`; what it has already counts as well.
        num_bytes: how many.
        what: they are, for errors.

    Raises:
        NoRoom: all that could be evicted is in use.
        RemoteError: the limit is smaller.
        OSError: the cache cannot be written to.
    """
    limit = cache_limit()
    if limit is None:
        return
    if num_bytes > limit:
        raise RemoteError(f"{what}: has {num_bytes:,} bytes, and the cache's limit is {limit:,}; raise cache.limit")
    with locked_cache(folder.parent) as claim:
        entries = _entries(folder.parent)
        excess = sum(entry.num_bytes for entry in entries) + num_bytes - limit
        evicted = []
        for entry in sorted(entries, key=lambda entry: entry.last_used):
            if excess > 0 and entry.may_go and claim(entry.folder):
                evicted.append(entry.folder)
                excess -= entry.num_bytes
        if excess > 0:
            raise NoRoom(
                f"{what}: no room for its {num_bytes:,} bytes in the cache, all of whose {limit:,} are in use; raise"
                " cache.limit"
            )
        for entry_folder in evicted:
            _remove(entry_folder)
        (folder / _NOTE).write_text(str(num_bytes))


def has_come(folder: Path) -> None:
    """What was about to come into a folder counts no longer, but what is in it."""
    with suppress(OSError):
        (folder / _NOTE).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Entry:
    """A folder of the cache.

    Attributes:
        folder: its path.
        num_bytes: of the file in it, and of the one that is coming.
        last_used: in ns.
        may_go: whether it may be evicted while nobody uses it.
    """

    folder: Path
    num_bytes: int
    last_used: int
    may_go: bool


def _entries(cache: Path) -> list[_Entry]:
    """All folders that the cache has made; of downloads that were killed nothing is left afterwards."""
    return [_entry(cache / name) for name in os.listdir(cache) if _NAME.fullmatch(name)]


def _entry(folder: Path) -> _Entry:
    coming = _coming(folder)  # first: a file that appears meanwhile counts twice, rather than not at all
    num_bytes = last_used = 0
    is_ours, may_go = False, True
    with os.scandir(folder) as files:
        for file in files:
            if file.name == ABOUT:
                is_ours, last_used = True, file.stat().st_mtime_ns
            elif not file.name.startswith("."):
                num_bytes += file.stat().st_size
                may_go = may_go and file.name != INDEX_NAME
    return _Entry(folder, is_ours * num_bytes + coming, last_used, is_ours and may_go and num_bytes > 0)


def _coming(folder: Path) -> int:
    """Bytes that are noted for a folder. No note is made meanwhile, since that takes the lock of the whole cache."""
    if not any(name == _NOTE or name.endswith(".writing") for name in os.listdir(folder)):
        return 0
    noted = 0
    with suppress(OSError, ValueError):
        noted = int((folder / _NOTE).read_text())
    with downloading(folder) as nobody_was:
        if not nobody_was:
            return noted
        has_come(folder)
        for abandoned in folder.glob(".*.writing"):
            abandoned.unlink(missing_ok=True)
    return 0


def _remove(folder: Path) -> None:
    for file in folder.glob("[!.]*"):  # before what is known of it
        file.unlink()
    shutil.rmtree(folder, ignore_errors=True)
