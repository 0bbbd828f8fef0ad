"""A beton opened for reading: its structure checked, its tables as arrays."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from ffcv.fields import Field
from ffcv.types import ALLOC_TABLE_TYPE, FieldDescType, HeaderType, get_metadata_type

from ffcv_hydra.beton import appendix, checks, layout
from ffcv_hydra.beton.appendix import Appendix
from ffcv_hydra.errors import BetonError


class Beton:
    """A beton's fields, metadata and allocations. Nothing of the data is read.

    Everything is checked that a reader relies on: sizes, bounds, and that each pointer in the metadata has its
    allocation. Files of stock FFCV open as well.

    Args:
        path: The file.
        custom_fields: Field classes by field name, for fields that FFCV has no type id for.

    Attributes:
        path: The file.
        num_samples: Samples in the file.
        page_size: Bytes.
        fields: The fields by name, in the order of the items.
        metadata: Structured array (num_samples,), read only; column `f0` is the first field's, and so on.
        pointers: uint64 (num_allocations,), sorted; where each allocation begins in the file.
        sizes: uint64 (num_allocations,); bytes of each allocation.
        sample_ids: uint64 (num_allocations,); the sample that each allocation is of.
        description: What the file was made from, None in files of stock FFCV.
        fingerprint: Hash of the description.

    Raises:
        BetonError: if the file is missing, is no beton, or is damaged in any way that can be seen.
    """

    def __init__(self, path: str | os.PathLike[str], custom_fields: Mapping[str, type[Field]] | None = None) -> None:
        self.path = Path(path)
        with _opened(self.path) as file:
            self._read(file, custom_fields or {})

    def field_metadata(self, name: str) -> np.ndarray:
        """One field's metadata, (num_samples,); scalars themselves, or sizes and pointers.

        Raises:
            BetonError: if there is no such field.
        """
        if name not in self.fields:
            raise BetonError(f"{self.path}: no field {name!r}; it has {', '.join(self.fields)}")
        return self.metadata[f"f{list(self.fields).index(name)}"]

    def extents(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Where each sample's data of one field stand: byte offsets and sizes, uint64 (num_samples,) each.

        None for a field whose values are in the metadata itself. Raises `BetonError` if there is no such field.
        """
        if name not in self.fields:
            self.field_metadata(name)
        return self._extents.get(name)

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of header, field descriptors, metadata and allocation table, as hex digits."""
        digest = hashlib.sha256()
        with open(self.path, "rb") as file:
            for start, stop in ((0, self._metadata_end), (self._table_start, self._num_bytes)):
                file.seek(start)
                remaining = stop - start
                while remaining > 0 and (block := file.read(min(remaining, 1 << 24))):
                    digest.update(block)
                    remaining -= len(block)
        return digest.hexdigest()

    def _read(self, file: BinaryIO, custom_fields: Mapping[str, type[Field]]) -> None:
        self._num_bytes = os.fstat(file.fileno()).st_size
        header = checks.check_header(_read_records(file, 0, HeaderType, 1), self._num_bytes)
        self.num_samples = int(header["num_samples"])
        self.page_size = int(header["page_size"])
        self._table_start = int(header["alloc_table_ptr"])
        descriptors = _read_records(file, HeaderType.itemsize, FieldDescType, int(header["num_fields"]))
        self.fields: dict[str, Field] = checks.check_fields(descriptors, int(header["num_fields"]), custom_fields)

        metadata_start = HeaderType.itemsize + descriptors.nbytes
        metadata_type = get_metadata_type(list(self.fields.values()))
        self._metadata_end = metadata_start + self.num_samples * metadata_type.itemsize
        num_allocations = checks.check_regions(self._metadata_end, self._table_start, self._num_bytes)
        self.metadata = _read_records(file, metadata_start, metadata_type, self.num_samples)
        self.metadata.setflags(write=False)
        table = _read_records(file, self._table_start, ALLOC_TABLE_TYPE, num_allocations)
        if len(self.metadata) < self.num_samples or len(table) < num_allocations:
            raise BetonError("was cut short while it was read; convert the dataset again")
        self.pointers, self.sizes, self.sample_ids = _sorted_columns(table)
        checks.check_allocations(
            self.pointers, self.sizes, self.sample_ids, self._metadata_end, self._table_start, self.num_samples
        )
        self._extents: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for name, field in self.fields.items():
            found = checks.check_extents(name, field, self.field_metadata(name), self.pointers, self.sizes)
            if found is not None:
                self._extents[name] = found
        facts = appendix.unpack(file, self._metadata_end, self._table_start)
        self.description: dict[str, Any] | None = facts.description if facts else None
        self.fingerprint: str | None = facts.fingerprint if facts else None


def read_appendix(path: str | os.PathLike[str]) -> Appendix | None:
    """What the beton at `path` says about itself, without reading its tables; None in files of stock FFCV.

    Raises:
        BetonError: if the file is missing, is no beton, or is visibly cut short.
    """
    with _opened(Path(path)) as file:
        num_bytes = os.fstat(file.fileno()).st_size
        header = checks.check_header(_read_records(file, 0, HeaderType, 1), num_bytes)
        earliest = layout.metadata_start(int(header["num_fields"]))
        table_start = int(header["alloc_table_ptr"])
        checks.check_regions(earliest, table_start, num_bytes)
        return appendix.unpack(file, earliest, table_start)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, for reading; errors in the block become a `BetonError` that names it."""
    try:
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError as error:
        raise BetonError(f"{path}: no such file; convert the dataset first, or correct the path") from error
    except IsADirectoryError as error:
        raise BetonError(f"{path}: is a directory; name the .beton file in it") from error
    except OSError as error:
        raise BetonError(f"{path}: cannot be read: {error.strerror or error}") from error
    except BetonError as error:
        raise BetonError(f"{path}: {error}") from error


def _read_records(file: BinaryIO, offset: int, dtype: np.dtype, count: int) -> np.ndarray:
    """Up to `count` records; fewer if the file ends before."""
    available = max(os.fstat(file.fileno()).st_size - offset, 0) // dtype.itemsize
    file.seek(offset)
    return np.fromfile(file, dtype=dtype, count=min(count, available))


def _sorted_columns(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pointers, sizes and sample ids, each contiguous, in the order of the pointers.

    Stock FFCV gives an empty allocation the pointer of its neighbour; the empty one then comes first.
    """
    columns = [np.ascontiguousarray(table[name]) for name in ("ptr", "size", "sample_id")]
    pointers, sizes = columns[:2]
    if not np.all(pointers[1:] > pointers[:-1]):
        order = np.lexsort((sizes, pointers))
        columns = [column[order] for column in columns]
    for column in columns:
        column.setflags(write=False)
    return columns[0], columns[1], columns[2]
