"""A beton opened for reading: its structure checked, its tables as arrays."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from ffcv_hydra.beton import appendix, layout
from ffcv_hydra.beton.allocations import BLOCK_ROWS, Allocations, read_only
from ffcv_hydra.beton.appendix import Appendix
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.format import ALLOCATION, DESCRIPTOR, HEADER, record_type
from ffcv_hydra.beton.manifest import Manifest, decode
from ffcv_hydra.beton.reading import checks
from ffcv_hydra.beton.reading.opening import opened_file, read_records
from ffcv_hydra.beton.reading.source_names import SourceNames
from ffcv_hydra.beton.stored_file import StoredFile
from ffcv_hydra.errors import BetonError

CUT_MEANWHILE = "was cut short while it was read; convert the dataset again"


class Beton:
    """A beton's fields, metadata and allocations. Nothing of the data is read.

    Everything is checked that a reader relies on: sizes, bounds, that each pointer in the metadata has its allocation,
    and the digest of header and tables. Files of stock FFCV, which have no digest, open as well.

    The tables are copied, not mapped: a file that is cut or overwritten later cannot change what was checked. Of a
    million JPEGs with labels that is 37 MB; `pointers`, `sample_ids` and the like are made when first asked for.

    Args:
        path: The file.
        custom_fields: Field classes by field name, for fields that FFCV has no type id for.

    Attributes:
        path: The file, absolute.
        custom_fields: As given.
        num_samples: Samples in the file.
        page_size: Bytes.
        fields: The fields by name, in the order of the items.
        metadata: Structured array (num_samples,), read only; column `f0` is the first field's, and so on.
        description: What the file was made from, None in files of stock FFCV.
        fingerprint: Hash of the description.
        files: The file, with its length when it was opened.
        inode: Tells the file from another one at its path later.
        first_ids: The id of each file's first sample, and at the end the number of all: int64 (num_files + 1,).
        is_mapped: Whether the tables are where they lie in the file.
        version: Of what this package has added to FFCV's format; None in files of stock FFCV.
        uses: What keeps the file where it is for as long as the beton is there, if something has to.
        left_out: Of betons that are read as one: by name, fields that some have, and the first one that has not.

    Raises:
        BetonError: if the file is missing, is no beton, or is damaged in any way that can be seen.
    """

    uses: object = None
    left_out: Mapping[str, Path] = {}
    is_mapped = False

    def __init__(self, path: str | os.PathLike[str], custom_fields: Mapping[str, type[Field]] | None = None) -> None:
        self.path = Path(os.path.abspath(os.path.expanduser(path)))  # read again later, wherever the process is then
        self.custom_fields = custom_fields
        with opened_file(self.path) as file:
            self._read(file, custom_fields or {})
        self.first_ids = np.array([0, self.num_samples], dtype=np.int64)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is the file opened again."""
        return Beton, (self.path, self.custom_fields)

    def parts(self) -> Iterator[Beton]:
        """The files that it is, each as a beton of its own."""
        yield self

    def path_of(self, sample: int) -> Path:
        """The file that a sample is in."""
        return self.path

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

    def checksums_of(self, name: str) -> np.ndarray | None:
        """XXH64 of the bytes at each of the `extents` of one field, uint64 (num_samples,), read only.

        None if the file has no checksums, if the field has no extents, or if the extents are not whole allocations
        (possible with field classes of the user's own). Raises `BetonError` if there is no such field.
        """
        if name not in self.fields:
            self.field_metadata(name)
        return self._checksums_of.get(name)

    @property
    def num_allocations(self) -> int:
        """Rows of the allocation table."""
        return len(self._allocations.pointers)

    @cached_property
    def pointers(self) -> np.ndarray:
        """Where each allocation begins in the file, uint64 (num_allocations,), sorted."""
        return read_only(np.ascontiguousarray(self._sorted.pointers))

    @cached_property
    def sizes(self) -> np.ndarray:
        """Bytes of each allocation, uint64 (num_allocations,), in the order of the pointers."""
        return self._sorted.sizes

    @cached_property
    def checksums(self) -> np.ndarray | None:
        """XXH64 (seed 0) of each allocation's bytes, uint64 (num_allocations,), in the order of the pointers.

        None in files of stock FFCV.
        """
        return self._sorted.checksums

    @cached_property
    def sample_ids(self) -> np.ndarray:
        """The sample that each allocation is of, uint64 (num_allocations,), in the order of the pointers.

        They are read when first asked for. Raises `BetonError` if the file has changed since it was opened.
        """
        with opened_file(self.path) as file:
            pointers, sizes, sample_ids = self._read_columns(file, len(self.pointers), ("ptr", "size", "sample_id"))
            order = Allocations(pointers, sizes, None).order()
            if order is not None:
                pointers, sample_ids = pointers[order], sample_ids[order]
            if not np.array_equal(pointers, self.pointers):
                raise BetonError("was changed while it was open; restore it, or convert the dataset again")
        return read_only(sample_ids)

    @property
    def for_those_who_looked(self) -> Beton:
        """The same, for those who have just looked whether files with mapped tables are as long as they were."""
        return self

    @cached_property
    def further_pointers(self) -> tuple[np.ndarray, np.ndarray]:
        """Sample ids, ascending, and pointers of the allocations that no field's `extents` name, uint64 (N,) each.

        Only field classes of the user's own have such. Raises as `sample_ids`.
        """
        named = [offsets for offsets, _ in self._extents.values()]
        rows = (
            np.flatnonzero(~np.isin(self.pointers, np.concatenate(named))) if named else np.arange(len(self.pointers))
        )
        if len(rows) == 0:
            return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64)
        rows = rows[np.argsort(self.sample_ids[rows], kind="stable")]
        return self.sample_ids[rows], self.pointers[rows]

    @cached_property
    def manifest(self) -> Manifest | None:
        """How the file's source looked when it was converted; read when first asked for. None if it does not say."""
        return read_manifest(self.path)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What its source calls the classes, by number; None if it does not. Raises `BetonError` as `read_manifest`."""
        return self._names.classes if self._names else None

    def sample_name(self, sample: int) -> str | None:
        """What its source calls the item of a sample, such as a path below a folder; None if it has no names.

        It is read when it is asked for, with some that stand beside it. Raises `BetonError` as `read_manifest`, and
        `IndexError` if there is no such sample.
        """
        return self._names.sample_name(sample) if self._names else None

    @cached_property
    def _names(self) -> SourceNames | None:
        return read_names(self.path, self.num_samples)

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of header, field descriptors, metadata, allocation table and checksums, as hex digits."""
        digest = hashlib.sha256()
        with open(self.path, "rb") as file:
            for start, stop in ((0, self._metadata_end), (self._table_start, self.files[0].num_bytes)):
                file.seek(start)
                remaining = stop - start
                while remaining > 0 and (block := file.read(min(remaining, 1 << 24))):
                    digest.update(block)
                    remaining -= len(block)
        if self.checksums is not None:
            digest.update(self.checksums.data)
        return digest.hexdigest()

    def _read(self, file: BufferedReader, custom_fields: Mapping[str, type[Field]]) -> None:
        record, num_allocations = self._read_head(file, custom_fields)
        start = self._metadata_end - self.num_samples * record.itemsize
        self.metadata = read_only(read_records(file, start, record, self.num_samples))
        if len(self.metadata) < self.num_samples:
            raise BetonError(CUT_MEANWHILE)
        facts = appendix.unpack(file, self._metadata_end, self._table_start)
        stored = checks.check_checksums(facts, num_allocations, self._metadata_end, self._table_start, self.page_size)
        self._find_data(self._read_allocations(file, num_allocations, stored))
        if facts and facts.checksums is not None:
            checks.check_digest(file, self._metadata_end, facts.start)
        self._take_facts(facts)

    def _read_head(self, file: BufferedReader, custom_fields: Mapping[str, type[Field]]) -> tuple[np.dtype, int]:
        """Read all that comes before the metadata; the dtype of these, and the number of allocations."""
        status = os.fstat(file.fileno())
        num_bytes, self.inode = status.st_size, status.st_ino
        self.files: tuple[StoredFile, ...] = (StoredFile(self.path, 0, num_bytes),)
        header = checks.check_header(read_records(file, 0, HEADER, 1), num_bytes)
        self.num_samples = int(header["num_samples"])
        self.page_size = int(header["page_size"])
        self._table_start = int(header["alloc_table_ptr"])
        descriptors = read_records(file, HEADER.itemsize, DESCRIPTOR, int(header["num_fields"]))
        self.fields: dict[str, Field] = checks.check_fields(descriptors, int(header["num_fields"]), custom_fields)
        record = record_type(list(self.fields.values()))
        self._metadata_end = HEADER.itemsize + descriptors.nbytes + self.num_samples * record.itemsize
        return record, checks.check_regions(self._metadata_end, self._table_start, num_bytes)

    def _take_facts(self, facts: Appendix | None) -> None:
        self.description: dict[str, Any] | None = facts.description if facts else None
        self.fingerprint: str | None = facts.fingerprint if facts else None
        self.version: int | None = facts.version if facts else None

    def _read_allocations(self, file: BufferedReader, count: int, checksums: np.ndarray | None) -> Allocations:
        pointers, sizes = self._read_columns(file, count, ("ptr", "size"))
        return Allocations(pointers, sizes, checksums)

    def _read_columns(self, file: BufferedReader, count: int, names: Sequence[str]) -> list[np.ndarray]:
        """Columns of the allocation table, checked; in blocks, because whole rows are three times as large as one."""
        columns = [np.empty(count, dtype=np.uint64) for _ in names]
        for begin in range(0, count, BLOCK_ROWS):
            num_rows = min(BLOCK_ROWS, count - begin)
            rows = read_records(file, self._table_start + begin * ALLOCATION.itemsize, ALLOCATION, num_rows)
            if len(rows) < num_rows:
                raise BetonError(CUT_MEANWHILE)
            checks.check_allocations(
                rows["ptr"], rows["size"], rows["sample_id"], self._metadata_end, self._table_start, self.num_samples
            )
            for column, name in zip(columns, names, strict=True):
                column[begin : begin + num_rows] = rows[name]
        return [read_only(column) for column in columns]

    def _find_data(self, allocations: Allocations) -> None:
        """Find each field's extents and checksums; views wherever the table has them in the order of the samples."""
        self._extents: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._checksums_of: dict[str, np.ndarray | None] = {}
        for name, field in self.fields.items():
            metadata = self.field_metadata(name)
            offsets = checks.pointer_column(field, metadata)
            if offsets is None:
                continue
            rows: slice | np.ndarray | None = allocations.regular_rows(offsets)
            if rows is None:
                allocations = allocations.sorted()
                rows = checks.check_pointers(name, offsets, allocations.pointers)
            whole_sizes = allocations.sizes[rows]
            sizes = checks.check_sizes(name, field, metadata, whole_sizes)
            self._extents[name] = offsets, read_only(sizes)
            if allocations.checksums is not None and (sizes is whole_sizes or np.array_equal(sizes, whole_sizes)):
                self._checksums_of[name] = read_only(allocations.checksums[rows])
            if isinstance(rows, slice) and len(allocations.pointers) == self.num_samples:
                allocations = allocations._replace(pointers=offsets)  # the same numbers, held once
        self._allocations = allocations

    @cached_property
    def _sorted(self) -> Allocations:
        return self._allocations.sorted()


def read_appendix(path: str | os.PathLike[str]) -> Appendix | None:
    """What the beton at `path` says about itself, without reading its tables; None in files of stock FFCV.

    Raises:
        BetonError: if the file is missing, is no beton, or is visibly cut short.
    """
    with opened_file(Path(os.path.expanduser(path))) as file:
        num_bytes = os.fstat(file.fileno()).st_size
        header = checks.check_header(read_records(file, 0, HEADER, 1), num_bytes)
        earliest = layout.metadata_start(int(header["num_fields"]))
        table_start = int(header["alloc_table_ptr"])
        checks.check_regions(earliest, table_start, num_bytes)
        return appendix.unpack(file, earliest, table_start, with_checksums=False)


def read_manifest(path: str | os.PathLike[str]) -> Manifest | None:
    """How the source of the beton at `path` looked when it was converted; None if it does not say.

    Raises:
        BetonError: as `read_appendix`, and if the manifest is damaged.
    """
    facts = read_appendix(path)
    if facts is None or facts.manifest is None:
        return None
    with opened_file(Path(path)) as file:
        file.seek(facts.manifest[0])
        return decode(file.read(facts.manifest[1] - facts.manifest[0]))


def read_names(path: str | os.PathLike[str], num_samples: int) -> SourceNames | None:
    """What the source of the beton at `path`, of so many samples, calls its items and classes; see `read_manifest`."""
    facts = read_appendix(path)
    return None if facts is None or facts.manifest is None else SourceNames(Path(path), *facts.manifest, num_samples)
