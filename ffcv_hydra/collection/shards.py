"""Several betons as one: each opened when it is needed, with the ids and the offsets of the whole."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np

from ffcv_hydra.beton.allocations import read_only
from ffcv_hydra.beton.data_digest import DataDigest, data_digest
from ffcv_hydra.beton.format import record_type
from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.beton.reading.checks import pointer_column
from ffcv_hydra.beton.reading.reader import Beton, read_appendix
from ffcv_hydra.beton.reading.source_names import SourceNames
from ffcv_hydra.beton.summary import describe_fields
from ffcv_hydra.collection.cache_locks import Uses
from ffcv_hydra.collection.columns import Column
from ffcv_hydra.collection.common_fields import CommonFields
from ffcv_hydra.collection.data_cache import uses_of
from ffcv_hydra.collection.entries import sizes_key
from ffcv_hydra.collection.facts import JoinedNames, joined_manifest, read_manifest, read_names
from ffcv_hydra.collection.fetching import CustomFields, local
from ffcv_hydra.collection.index import is_sharded
from ffcv_hydra.collection.mixture import Mixture, Readable, named
from ffcv_hydra.collection.remote_shards import RemoteShards
from ffcv_hydra.collection.shard_files import ShardFiles
from ffcv_hydra.errors import BetonError


def opened(path: Readable, custom_fields: CustomFields | None = None) -> Beton:
    """What is at a path, a file or the folder of a sharded beton, or at several of them, in their order.

    What is at a URL comes into the data cache first.

    Args:
        path: one, a list, or a mixture; paths or URLs.
        custom_fields: as those of `Beton`.

    Raises:
        BetonError: if one cannot be used, or their fields differ.
    """
    with Uses() as uses:
        paths = [local(one, custom_fields, uses=uses, whole=False) for one in named(path)]
        fill_values = path.fill_values if isinstance(path, Mixture) else None
        several = len(paths) > 1 or is_sharded(paths[0]) or fill_values is not None
        beton = Shards(paths, custom_fields, fill_values) if several else Beton(paths[0], custom_fields)
        remote = beton.remote if isinstance(beton, Shards) else RemoteShards([])
        beton.uses = uses_of(file.path for number, file in enumerate(beton.files) if not remote.has(number))
    return beton


class Shards(Beton):
    """Several betons, which are read as one, and opened when a sample of theirs is needed, see `ShardFiles`.

    A sample's id is its place in the whole: the ids of a shard begin where those of the one before it ended. Offsets
    count in a space in which each file begins at a multiple of the page size. The columns of the tables are each a
    `Column`.

    Args:
        paths: absolute, of betons and of sharded ones.
        custom_fields: as those of `Beton`.
        fill_values: those of a `Mixture`, whose members may differ in fields, see `CommonFields`. None: they may not.

    Attributes:
        paths: as given.
        path: the folder, or the one that all `paths` have in common.
        spans: the ids of each path's samples.

    Raises:
        BetonError: if one cannot be used, is not of the size that its index says, or their fields differ. That the
            tables of a shard are others than its index says is told when a sample of it is needed.
    """

    is_mapped = True

    def __init__(
        self,
        paths: Sequence[Path],
        custom_fields: CustomFields | None = None,
        fill_values: Mapping[str, float] | None = None,
    ) -> None:
        self.paths, self.custom_fields, self._fill_values = list(paths), custom_fields, fill_values
        self.path = Path(os.path.commonpath(self.paths))
        self._files = files = ShardFiles(self.paths, custom_fields)
        self.files, self.page_size = files.stored, files.page_size
        self.spans, self.first_ids = files.spans, files.first_ids
        self.num_samples = int(files.first_ids[-1])
        self.description = files.index.description if files.index else None
        self.fingerprint = files.index.fingerprint if files.index else None
        firsts = [files.number_of(span.start) for span in self.spans]
        self._common = None
        if fill_values is not None:
            self._common = CommonFields([files[number] for number in firsts], fill_values)
            self.left_out = self._common.left_out
        self.fields = self._as_read(files[0]).fields
        for number in firsts:
            self.beton(number)  # tells how the fields of one differ
        self._make_columns()
        self.remote.when_closed(self._forget)

    @property
    def remote(self) -> RemoteShards:
        """The files that come from URLs when they are needed."""
        return self._files.remote

    def _forget(self, number: int) -> None:
        extents = (column for columns in self._extents.values() if columns for column in columns)
        for column in (*self._columns.values(), *extents, *self._checksums_of.values()):
            if isinstance(column, Column):
                column.forget(number)

    def _make_columns(self) -> None:
        entries, first = self._files.entries, self.beton(0)
        unknown = [number for number, entry in enumerate(entries) if not entry.data]
        starts = np.array([file.start for file in self.files], dtype=np.int64)
        extremes = [entry.extremes for entry in entries]

        need = self.remote.take_all if self.remote else None

        def column(part: Callable[[Beton], Any], key: str, pointer: str | None = None) -> Column:
            places = self.first_ids, part, part(first), starts, pointer
            return Column(self.beton, *places, extremes, key, need, self._files.look)

        self._columns: dict[str, Column] = {}
        self._extents, self._checksums_of = {}, {}
        for name, field in self.fields.items():
            metadata = first.field_metadata(name)
            pointer = None
            if pointer_column(field, metadata) is not None:
                pointer = next((one for one in ("data_ptr", "ptr") if one in (metadata.dtype.names or ())), "")
            self._columns[name] = column(methodcaller("field_metadata", name), name, pointer)
            if pointer is None:
                continue
            pointers = self._columns[name][pointer] if pointer else self._columns[name]
            sizes = column(partial(_sizes, name), sizes_key(name))
            self._extents[name] = pointers, sizes  # type: ignore[assignment]
            if all(self.beton(number).checksums_of(name) is not None for number in [0, *unknown]):
                self._checksums_of[name] = column(methodcaller("checksums_of", name), name)  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return Shards, (self.paths, self.custom_fields, self._fill_values)

    @cached_property
    def for_those_who_looked(self) -> Beton:
        """As `Beton.for_those_who_looked`: its columns do not look."""
        other = copy.copy(self)
        other._columns = {name: column.for_those_who_looked() for name, column in self._columns.items()}
        other._extents = {name: tuple(map(_bare, columns)) for name, columns in self._extents.items()}
        other._checksums_of = {name: _bare(column) for name, column in self._checksums_of.items()}
        return other

    @property
    def further_pointers(self) -> tuple[np.ndarray, np.ndarray]:
        """As `Beton.further_pointers`: there are none."""
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64)

    @property
    def num_opened(self) -> int:
        """How many of the files have been needed so far."""
        return self._files.num_opened

    def beton(self, number: int) -> Beton:
        """One of the files, open, with the fields that all are read with.

        Raises:
            BetonError: it cannot be used, is not what its index says, or has other fields than the first one.
        """
        beton = self._as_read(self._files[number])
        known, found = describe_fields(self.fields), describe_fields(beton.fields)
        if found != known or list(found) != list(known):
            name, first = (
                next((one for one in {**known, **found} if known.get(one) != found.get(one)), None),
                self.files[0],
            )
            what = (
                f"field '{name}' is {found.get(name, 'missing')}, and in {first.path} {known.get(name, 'missing')}"
                if name
                else f"its fields stand in another order than those of {first.path}"
            )
            raise BetonError(f"{beton.path}: {what}; only betons of the same fields can be read as one")
        return beton

    def _as_read(self, beton: Beton) -> Beton:
        return beton if self._common is None else self._common.of(beton)

    def parts(self) -> Iterator[Beton]:
        """As `Beton.parts`; each is opened when it comes."""
        return map(self.beton, range(len(self.files)))

    def path_of(self, sample: int) -> Path:
        """The file that a sample is in."""
        return self.files[self._files.number_of(sample)].path

    def field_metadata(self, name: str) -> Any:
        """As `Beton.field_metadata`, as a `Column`."""
        if name not in self.fields:
            raise BetonError(f"{self.path}: no field {name!r}; it has {', '.join(self.fields)}")
        return self._columns[name]

    @cached_property
    def digest(self) -> DataDigest | None:
        """Of the data; None if a file has no checksums."""
        whole = DataDigest()
        for entry in self._files.entries:
            if not entry.data:
                return None
            whole = whole.then(DataDigest.parse(entry.data))
        return whole

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the checksums of all shards."""
        return hashlib.sha256("".join(entry.tables for entry in self._files.entries).encode()).hexdigest()

    @cached_property
    def manifest(self) -> Manifest | None:
        """How the source looked, or what can be told of the sources of several paths, see `joined_manifest`."""
        if len(self.paths) == 1:
            return read_manifest(self.path, self._files.index)
        return joined_manifest(dict(zip(self.paths, map(len, self.spans), strict=True)))

    @cached_property
    def _names(self) -> SourceNames | JoinedNames | None:  # type: ignore[override]
        if len(self.paths) == 1:
            return read_names(self.path, self.num_samples, self._files.index)
        return JoinedNames(dict(zip(self.paths, self.spans, strict=True)))

    # What follows is read from all files when it is first asked for.

    @cached_property
    def version(self) -> int | None:  # type: ignore[override]
        """As `Beton.version`: the earliest of any file."""
        facts = [read_appendix(self._fetched(number)) for number in range(len(self.files))]
        return None if None in facts else min(one.version for one in facts if one is not None)

    @cached_property
    def metadata(self) -> np.ndarray:  # type: ignore[override]
        """As `Beton.metadata`."""
        found = np.zeros(self.num_samples, dtype=record_type(self.fields.values()))
        for name, column in zip(found.dtype.names or (), self._columns.values(), strict=True):
            found[name] = column
        return read_only(found)

    @cached_property
    def pointers(self) -> np.ndarray:
        """As `Beton.pointers`."""
        return self._column(lambda beton, offset, _: beton.pointers + np.uint64(offset))

    @cached_property
    def sizes(self) -> np.ndarray:
        """As `Beton.sizes`."""
        return self._column(lambda beton, *_: beton.sizes)

    @cached_property
    def checksums(self) -> np.ndarray | None:
        """As `Beton.checksums`."""
        return self._column(lambda beton, *_: beton.checksums) if self.digest else None

    @cached_property
    def sample_ids(self) -> np.ndarray:
        """As `Beton.sample_ids`."""
        return self._column(lambda beton, _, first_id: beton.sample_ids + np.uint64(first_id))

    def _fetched(self, number: int) -> Path:
        self.remote.take(number)
        return self.files[number].path

    def _column(self, of_one: Callable[[Beton, int, int], np.ndarray]) -> np.ndarray:
        columns = []
        for number, (file, entry) in enumerate(zip(self.files, self._files.entries, strict=True)):
            beton, first_id = Beton(self._fetched(number), self.custom_fields), int(self.first_ids[number])
            if beton.checksum != entry.tables:
                raise BetonError(f"{file.path}: was changed while it was open; restore it, or convert it again")
            columns.append(of_one(beton, file.start, first_id))
        return read_only(np.concatenate(columns))


def _bare(column: Any) -> Any:
    return column.for_those_who_looked()


def _sizes(name: str, beton: Beton) -> np.ndarray:
    return beton.extents(name)[1]  # type: ignore[index]


def members_of(beton: Beton) -> dict[Path, range]:
    """The paths on this machine that were opened, with the ids of the samples at each."""
    if isinstance(beton, Shards):
        return dict(zip(beton.paths, beton.spans, strict=True))
    return {beton.path: range(beton.num_samples)}


def identity_of(beton: Beton) -> str:
    """What tells data apart: the text of their digest, which is the same however the samples are cut into files.

    Of files without checksums it is the SHA-256 of their tables.
    """
    digest = beton.digest if isinstance(beton, Shards) else data_digest(beton)
    return beton.checksum if digest is None else str(digest)
