"""The files that several betons are, each opened when it is needed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.reading.mapped import MappedBeton, mapped
from ffcv_hydra.beton.reading.opening import read_page_size
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.beton.stored_file import StoredFile
from ffcv_hydra.collection.checked import CheckedShards
from ffcv_hydra.collection.data_cache import CachedFile
from ffcv_hydra.collection.entries import extremes_of, shard_entry
from ffcv_hydra.collection.fetching import remote_files
from ffcv_hydra.collection.index import Index, ShardEntry, is_sharded, read_index
from ffcv_hydra.collection.remote_shards import RemoteShards
from ffcv_hydra.errors import BetonError


class ShardFiles:
    """Betons and the shards of sharded ones, one after another; `files[number]` is one, open. Safe for several threads.

    A shard is compared with what its index says once on a machine, see `CheckedShards`; then its tables are read where
    they lie in the file, which is mapped, and no descriptor stays open. Tables of files of stock FFCV whose rows are in
    no order are in memory from when they are first needed.

    Args:
        paths: absolute, of betons and of sharded ones.
        custom_fields: as those of `Beton`.

    Attributes:
        index: of the folder, if there is one path, of a folder.
        entries: what is known of each file; its `file` is a path.
        spans: the ids of each path's samples.
        first_ids: int64 (num_files + 1,), the id of each file's first sample, and at the end the number of all.
        page_size: the largest of any file, in bytes.
        stored: where each file begins in a space in which it is a multiple of the page size.
        remote: those that come from URLs when they are needed.

    Raises:
        BetonError: if a path cannot be used, or a shard is not there or not of the size that its index says.
    """

    def __init__(self, paths: Sequence[Path], custom_fields: Mapping[str, type[Field]] | None) -> None:
        self._custom_fields = custom_fields
        self.index: Index | None = None
        self.entries: list[ShardEntry] = []
        self._folders: list[Path] = []  # of the index that names each
        self._opened: dict[int, Beton] = {}
        self._process, self._lock = os.getpid(), threading.Lock()
        self._locks: dict[int, threading.Lock] = {}
        self._checked = CheckedShards()
        self._remote_files: list[CachedFile | None] = []
        self.spans: list[range] = []
        for path in paths:
            found = self._entries_of(path)
            self.index = self.index if len(paths) == 1 else None
            self.entries += found
            self._folders += [path] * len(found)
            first = self.spans[-1].stop if self.spans else 0
            self.spans.append(range(first, first + sum(entry.num_samples for entry in found)))
        self.remote = RemoteShards(self._remote_files)
        self.remote.when_closed(self._close)
        self.page_size = max(entry.page_size or self._page_size(number) for number, entry in enumerate(self.entries))
        self.first_ids = np.cumsum([0, *(entry.num_samples for entry in self.entries)], dtype=np.int64)
        self.stored: tuple[StoredFile, ...] = tuple(self._stored())

    def _entries_of(self, path: Path) -> list[ShardEntry]:
        if not is_sharded(path):
            beton = Beton(path, self._custom_fields)
            _check_places(beton)
            self._opened[len(self.entries)] = mapped(beton)
            self._remote_files.append(None)
            return [shard_entry(beton, str(path))]
        self.index = read_index(path)
        found = [replace(shard, file=shard.location(path)) for shard in self.index.shards]
        remote = remote_files(path, self.index, self._custom_fields)
        for shard, file in zip(found, remote, strict=True):
            if file is None:
                _check_size(path, shard)
        self._remote_files += remote
        return found

    def _page_size(self, number: int) -> int:
        self.remote.take(number)
        return read_page_size(self.entries[number].file)

    def _stored(self) -> list[StoredFile]:
        files, end = [], 0
        for entry in self.entries:
            start = -(-end // self.page_size) * self.page_size
            files.append(StoredFile(Path(entry.file), start, entry.num_bytes))
            end = start + entry.num_bytes
        return files

    def look(self, numbers: Iterable[int]) -> None:
        """Look whether files that are open are as long as they were. Raises `BetonError` if one is not."""
        for number in numbers:
            if (beton := self._opened.get(number)) is None:
                continue
            try:
                status = os.stat(self.entries[number].file)
            except OSError:
                continue  # it was removed, and stays for those who have it mapped
            if status.st_ino == beton.inode and status.st_size != self.entries[number].num_bytes:
                raise BetonError(
                    f"{beton.path}: the file was changed while it was open; restore it, or convert it again"
                )

    @property
    def num_opened(self) -> int:
        """How many have been needed so far."""
        return len(self._opened)

    def number_of(self, sample: int) -> int:
        """The file that a sample is in."""
        return int(np.searchsorted(self.first_ids, sample, side="right")) - 1

    def __getitem__(self, number: int) -> Beton:
        if number not in self._opened:
            if self._process != os.getpid():  # the parent's threads may have held them
                self._lock, self._locks, self._process = threading.Lock(), {}, os.getpid()  # in this order
            self.remote.take(number)
            with self._lock:
                lock = self._locks.setdefault(number, threading.Lock())
            with lock:
                if number not in self._opened:
                    self._opened[number] = self._open(self._folders[number], self.entries[number])
        return self._opened[number]

    def _close(self, number: int) -> None:
        self._opened.pop(number, None)  # whoever reads a row of it keeps it for as long

    def _open(self, folder: Path, entry: ShardEntry) -> Beton:
        path = Path(entry.file)
        _check_size(folder, entry)
        key = self._checked.key(path, entry, self._custom_fields or {})
        if key in self._checked and (known := MappedBeton(path, self._custom_fields)).is_regular:
            return known
        beton = Beton(path, self._custom_fields)
        if beton.num_samples != entry.num_samples:
            raise _is_another(folder, entry, f"it has {beton.num_samples} samples, not {entry.num_samples}")
        if beton.checksum != entry.tables:
            raise _is_another(folder, entry, "its tables are others")
        _check_extremes(folder, entry, beton)
        _check_places(beton)
        beton = mapped(beton)
        if key is not None and beton.is_mapped:
            self._checked.add(key)
        return beton


def _check_size(folder: Path, entry: ShardEntry) -> None:
    """Raise `BetonError` unless a shard has as many bytes as its index says."""
    try:
        num_bytes = os.stat(entry.file).st_size
    except FileNotFoundError as error:
        raise BetonError(f"{entry.file}: no such file; restore it, or convert again") from error
    except OSError as error:
        raise BetonError(f"{entry.file}: cannot be read: {error.strerror or error}") from error
    if num_bytes != entry.num_bytes:
        raise _is_another(folder, entry, f"it has {num_bytes} bytes, not {entry.num_bytes}")


def _check_extremes(folder: Path, entry: ShardEntry, beton: Beton) -> None:
    """Raise `BetonError` unless what the index says of a shard's columns and pages is so."""
    found = extremes_of(beton)
    for key, told in entry.extremes.items():
        if key not in found or tuple(told) != found[key]:
            where = " to ".join(map(str, found.get(key, ("nowhere",))))
            raise _is_another(folder, entry, f"its {key} goes from {where}, not from {told[0]} to {told[1]}")
    if entry.page_size not in (0, beton.page_size):
        raise _is_another(folder, entry, f"its pages have {beton.page_size} bytes, not {entry.page_size}")


def _is_another(folder: Path, entry: ShardEntry, how: str) -> BetonError:
    return BetonError(
        f"{entry.file}: is not the shard that the index of {folder} names: {how}; restore it, or convert again"
    )


def _check_places(beton: Beton) -> None:
    """Raise `BetonError` unless fields lie where their metadata say."""
    num_allocations = beton.num_samples * sum(beton.extents(name) is not None for name in beton.fields)
    if beton.num_allocations > num_allocations:
        raise BetonError(f"{beton.path}: a field has data at several places, which only one file on its own may have")
