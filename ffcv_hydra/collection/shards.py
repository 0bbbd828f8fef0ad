"""Several betons as one: their tables one after another, with the ids and the offsets of the whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ffcv_hydra.beton.allocations import read_only
from ffcv_hydra.beton.data_digest import DataDigest, data_digest
from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.beton.reading.checks import pointer_column
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.beton.stored_file import StoredFile
from ffcv_hydra.beton.summary import describe_fields
from ffcv_hydra.collection.cache_locks import Uses
from ffcv_hydra.collection.common_fields import CommonFields
from ffcv_hydra.collection.data_cache import uses_of
from ffcv_hydra.collection.facts import joined_manifest, read_manifest
from ffcv_hydra.collection.fetching import CustomFields, local
from ffcv_hydra.collection.index import Index, is_sharded, read_index
from ffcv_hydra.collection.mixture import Mixture, Readable
from ffcv_hydra.collection.paths import located
from ffcv_hydra.errors import BetonError
from ffcv_hydra.urls import shown


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
        paths = [local(one, custom_fields, uses=uses) for one in named(path)]
        fill_values = path.fill_values if isinstance(path, Mixture) else None
        several = len(paths) > 1 or is_sharded(paths[0]) or fill_values is not None
        beton = Shards(paths, custom_fields, fill_values) if several else Beton(paths[0], custom_fields)
        beton.uses = uses_of(file.path for file in beton.files)
    return beton


def named(path: Readable) -> list[Path | str]:
    """The paths and URLs that are to be opened. Raises `BetonError` if there are none, or one is there twice."""
    if isinstance(path, Mixture):
        return list(path.paths)
    if isinstance(path, Mapping):
        raise BetonError("shares of betons are given as ffcv_hydra.Mixture({path: share, ...}), not as a mapping")
    found = [located(one) for one in ([path] if isinstance(path, (str, os.PathLike)) else path)]
    if not found:
        raise BetonError("a list of betons is empty; name at least one")
    twice = next((one for one in found if found.count(one) > 1), None)
    if twice is not None:
        raise BetonError(f"{shown(twice)} is listed twice; for samples to come more often, use a Mixture")
    return found


class Shards(Beton):
    """Several betons, which are read as one.

    A sample's id is its place in the whole: the ids of a shard begin where those of the one before it ended. Offsets
    count in a space in which each file begins at a multiple of the page size.

    Args:
        paths: absolute, of betons and of sharded ones.
        custom_fields: as those of `Beton`.
        fill_values: those of a `Mixture`, whose members may differ in fields, see `CommonFields`. None: they may not.

    Attributes:
        paths: as given.
        path: the folder, or the one that all `paths` have in common.
        spans: the ids of each path's samples.
        digest: of the data; None if a file has no checksums.

    Raises:
        BetonError: if one cannot be used, is not what its index says, or their fields differ.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        custom_fields: CustomFields | None = None,
        fill_values: Mapping[str, float] | None = None,
    ) -> None:
        self.paths, self._fill_values = list(paths), fill_values
        self.path = Path(os.path.commonpath(self.paths))
        self._custom_fields = custom_fields
        self._index = read_index(self.path) if len(self.paths) == 1 and is_sharded(self.path) else None
        self.spans: list[range] = []
        betons: list[Beton] = []
        self.digest: DataDigest | None = DataDigest()
        for path in self.paths:
            if is_sharded(path):
                index = self._index or read_index(path)
                found, digest = _shards_of(path, index, custom_fields), index.data
            else:
                found = [Beton(path, custom_fields)]
                digest = data_digest(found[0])
            betons += found
            first_id = self.spans[-1].stop if self.spans else 0
            self.spans.append(range(first_id, first_id + sum(beton.num_samples for beton in found)))
            self.digest = self.digest.then(digest) if self.digest and digest else None
        _check_places(betons)
        if fill_values is not None:
            common = CommonFields(betons, fill_values)
            betons, self.left_out = [common.of(beton) for beton in betons], common.left_out
        _check_fields(betons)
        self._join(betons)

    def _join(self, betons: Sequence[Beton]) -> None:
        self.fields = betons[0].fields
        self.page_size = max(beton.page_size for beton in betons)
        self.description = self._index.description if self._index else None
        self.fingerprint = self._index.fingerprint if self._index else None
        versions = [beton.version for beton in betons if beton.version is not None]
        self.version = min(versions) if len(versions) == len(betons) else None
        self._first_ids = np.cumsum([0, *(beton.num_samples for beton in betons)], dtype=np.int64)
        self.num_samples = int(self._first_ids[-1])
        files: list[StoredFile] = []
        for beton in betons:
            end = files[-1].start + files[-1].num_bytes if files else 0
            start = -(-end // self.page_size) * self.page_size
            files.append(StoredFile(beton.path, start, beton.files[0].num_bytes))
        self.files = tuple(files)
        self._extents, self._checksums_of = {}, {}
        self.metadata = np.concatenate([beton.metadata for beton in betons])
        shift = np.repeat(np.array([file.start for file in files], dtype=np.uint64), np.diff(self._first_ids))
        for name, field in self.fields.items():
            sizes = [found[1] for beton in betons if (found := beton.extents(name))]
            offsets = pointer_column(field, self.field_metadata(name))
            if offsets is None or not sizes:
                continue
            offsets += shift
            self._extents[name] = read_only(offsets), read_only(np.concatenate(sizes))
            checksums = [known for beton in betons if (known := beton.checksums_of(name)) is not None]
            if len(checksums) == len(betons):
                self._checksums_of[name] = read_only(np.concatenate(checksums))
        read_only(self.metadata)

    def __reduce__(self) -> tuple[Any, ...]:
        return Shards, (self.paths, self._custom_fields, self._fill_values)

    def path_of(self, sample: int) -> Path:
        """The file that a sample is in."""
        return self.files[int(np.searchsorted(self._first_ids, sample, side="right")) - 1].path

    # What follows is read from the files again when it is first asked for.

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

    @cached_property
    def manifest(self) -> Manifest | None:
        """How the source looked, or what can be told of the sources of several paths, see `joined_manifest`."""
        if len(self.paths) == 1:
            return read_manifest(self.path)
        return joined_manifest(dict(zip(self.paths, map(len, self.spans), strict=True)))

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the checksums of all shards."""
        checksums = (Beton(file.path, self._custom_fields).checksum for file in self.files)
        return hashlib.sha256("".join(checksums).encode()).hexdigest()

    def _column(self, of_one: Callable[[Beton, int, int], np.ndarray]) -> np.ndarray:
        columns = []
        for file, ids in zip(self.files, pairwise(self._first_ids.tolist()), strict=True):
            beton = Beton(file.path, self._custom_fields)
            for name, (offsets, _) in self._extents.items():
                found = beton.extents(name)
                if found is None or not np.array_equal(found[0] + np.uint64(file.start), offsets[slice(*ids)]):
                    raise BetonError(f"{file.path}: was changed while it was open; restore it, or convert it again")
            columns.append(of_one(beton, file.start, ids[0]))
        return read_only(np.concatenate(columns))


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


def _shards_of(folder: Path, index: Index, custom_fields: CustomFields | None) -> list[Beton]:
    """The shards that an index names. Raises `BetonError` if one is not what it says."""
    betons = []
    for shard in index.shards:
        beton = Beton(shard.location(folder), custom_fields)
        found = {"samples": beton.num_samples, "bytes": beton.files[0].num_bytes, "tables": beton.checksum}
        told = {"samples": shard.num_samples, "bytes": shard.num_bytes, "tables": shard.tables}
        wrong = next((what for what in found if found[what] != told[what]), None)
        if wrong is not None:
            how = "its tables are others" if wrong == "tables" else f"it has {found[wrong]} {wrong}, not {told[wrong]}"
            raise BetonError(
                f"{beton.path}: is not the shard that the index of {folder} names: {how}; restore it, or convert again"
            )
        betons.append(beton)
    return betons


def _check_fields(betons: Sequence[Beton]) -> None:
    """Raise `BetonError` unless all fields are read as those of the first one."""
    first = betons[0]
    known = describe_fields(first.fields)
    for beton in betons:
        found = describe_fields(beton.fields)
        if found != known or list(found) != list(known):
            name = next((name for name in {**known, **found} if known.get(name) != found.get(name)), None)
            what = (
                f"field '{name}' is {found.get(name, 'missing')}, and in {first.path} {known.get(name, 'missing')}"
                if name
                else f"its fields stand in another order than those of {first.path}"
            )
            raise BetonError(f"{beton.path}: {what}; only betons of the same fields can be read as one")


def _check_places(betons: Sequence[Beton]) -> None:
    """Raise `BetonError` unless fields lie where their metadata say."""
    for beton in betons:
        num_allocations = beton.num_samples * sum(beton.extents(name) is not None for name in beton.fields)
        if len(beton.pointers) > num_allocations:
            raise BetonError(
                f"{beton.path}: a field has data at several places, which only one file on its own may have"
            )
