"""Samples of betons as they are stored, as a dataset: what is written from it is copied, and not encoded anew."""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence

import numpy as np
import xxhash

from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.beton.writing.stored_value import StoredValue
from ffcv_hydra.collection.facts import joined_manifest, read_manifest
from ffcv_hydra.collection.shards import Shards, identity_of, members_of, opened
from ffcv_hydra.errors import ConversionError


class StoredSamples:
    """Some samples of a beton, or of several as one.

    One file is open at a time, with its tables.

    Args:
        paths: Of betons, files or sharded ones, with the same fields.

    Attributes:
        members: The paths on this machine, with the ids of the samples at each.
        fields: By name.
        ids: int64 (N,): which samples, by their ids in the whole.
        first_ids: int64 (num_files + 1,): of the samples of each file.

    Raises:
        BetonError: if one cannot be used, or fields differ.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        self._whole = opened(paths)
        self.members = members_of(self._whole)
        self.fields, self.page_size = self._whole.fields, self._whole.page_size
        self.first_ids = self._whole.first_ids
        self.ids = np.arange(self.first_ids[-1])
        self._open: tuple[int, _StoredFile] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[StoredValue, ...]:
        sample = int(self.ids[index])
        number = int(np.searchsorted(self.first_ids, sample, side="right")) - 1
        return self.file(number).sample(sample - int(self.first_ids[number]))

    def file(self, number: int) -> _StoredFile:
        """One of the files, opened."""
        if self._open is None or self._open[0] != number:
            self._open = None
            self._open = number, _StoredFile(self._beton(number))
        return self._open[1]

    def _beton(self, number: int) -> Beton:
        """One of the files with its tables in memory, where nobody changes them, and compared with its index."""
        if not isinstance(self._whole, Shards):
            return self._whole
        self._whole.beton(number)
        return Beton(self._whole.files[number].path)

    @property
    def identity(self) -> str:
        """What tells the betons' data apart, see `identity_of`."""
        return identity_of(self._whole)

    def whole_manifest(self) -> Manifest | None:
        """What the betons say of all their samples."""
        members = {path: len(ids) for path, ids in self.members.items()}
        return read_manifest(next(iter(members))) if len(members) == 1 else joined_manifest(members)

    def manifest(self) -> Manifest:
        """What they say of those that are chosen."""
        found = self.whole_manifest() or Manifest(num_items=int(self.first_ids[-1]), kind="samples")
        return found.of_samples(self.ids.tolist(), int(self.first_ids[-1]))


class _StoredFile:
    def __init__(self, beton: Beton) -> None:
        self.beton = beton
        self._file = os.open(beton.path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._columns = [
            (name, field, self.beton.field_metadata(name), self.beton.extents(name), self.beton.checksums_of(name))
            for name, field in self.beton.fields.items()
        ]

    def sample(self, row: int) -> tuple[StoredValue, ...]:
        values = []
        for name, field, metadata, extents, checksums in self._columns:
            data = None
            if extents is not None:
                offset, size = int(extents[0][row]), int(extents[1][row])
                data = os.pread(self._file, size, offset)
                if len(data) < size or (checksums is not None and xxhash.xxh64_intdigest(data) != int(checksums[row])):
                    raise ConversionError(
                        f"{self.beton.path}: sample {row}, field {name!r} is damaged; restore the file, or leave the"
                        " sample out"
                    )
            values.append(StoredValue(field, np.array(metadata[row : row + 1]), data))
        return tuple(values)
