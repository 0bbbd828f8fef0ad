"""A beton while it is written: data one after another, and at the end all that surrounds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from ffcv_hydra.beton import appendix, layout
from ffcv_hydra.beton.tables import Tables
from ffcv_hydra.beton.writing.encoding import PART_BYTES, Part, SampleEncoder


class BetonFile:
    """Puts samples into a file.

    Metadata stand before the data. Where the number of samples shows only at the end, data are written from where the
    metadata will begin, and those that turn out to be in the way are copied to the end of the file: as many bytes as
    the metadata have, which are few.

    Args:
        file: The file, open for reading and writing.
        encoder: What the samples were encoded with.
        page_size: Bytes; no allocation crosses a border of a page.
        num_samples: How many samples will be added; None if that is not known yet.

    Attributes:
        num_samples: Samples added.
        end: The first free byte.
    """

    def __init__(self, file: BinaryIO, encoder: SampleEncoder, page_size: int, num_samples: int | None) -> None:
        self.num_samples = 0
        self._file = file
        self._encoder = encoder
        self._page_size = page_size
        self._metadata_start = layout.metadata_start(len(encoder.fields))
        self._itemsize = encoder.dtype.itemsize
        self.end = self._metadata_start + (num_samples or 0) * self._itemsize
        self._sample_ids: list[np.ndarray] = []
        self._pointers: list[np.ndarray] = []
        self._sizes: list[np.ndarray] = []
        self._checksums: list[np.ndarray] = []

    def add(self, part: Part) -> None:
        """Write the data of further samples."""
        self._write_data(part.data, self.place(part.tables), part.tables.sizes)

    def place(self, tables: Tables) -> np.ndarray:
        """Where the data of further samples belong, uint64 (num_allocations,)."""
        sample_ids = (tables.locations // self._itemsize + self.num_samples).astype(np.uint64)
        pointers, self.end = layout.place(tables.sizes, sample_ids, self.end, self._page_size)
        self._sample_ids.append(sample_ids)
        self._pointers.append(pointers)
        self._sizes.append(tables.sizes)
        self._checksums.append(tables.checksums)
        self.num_samples += tables.num_samples
        return pointers

    def cut(self) -> None:
        """Drop what the file has after the data."""
        self._file.truncate(self.end)

    def make_room(self, *, copy: bool) -> bool:
        """Take samples whose data are in the way of the metadata to the end.

        Args:
            copy: Copy them; else they were copied before, and only their pointers change.

        Returns:
            Whether there were any.
        """
        pointers, sizes, sample_ids = map(_concatenated, (self._pointers, self._sizes, self._sample_ids))
        count = int(np.searchsorted(pointers, self._metadata_end))
        count = int(np.searchsorted(sample_ids, sample_ids[count - 1], "right")) if count else 0  # whole samples
        self.end = max(self.end, self._metadata_end)
        targets, self.end = layout.place(sizes[:count], sample_ids[:count], self.end, self._page_size)
        if copy:
            for some in _portions(sizes[:count]):
                self._write_data(self._read_data(pointers[some], sizes[some]), targets[some], sizes[some])
        self._pointers, self._sizes = [np.concatenate((targets, pointers[count:]))], [sizes]
        return count > 0

    def finish(self, tables: Iterable[Tables], description: Mapping[str, Any] | None, manifest: bytes = b"") -> int:
        """Write all that surrounds the data.

        Args:
            tables: The tables of all samples, in any portions.
            description: What the file is made from.
            manifest: How that looks, encoded.

        Returns:
            The size of the file in bytes.
        """
        self.cut()
        self._write_metadata(tables)
        allocations = (_concatenated(self._sample_ids), _concatenated(self._pointers), _concatenated(self._sizes))
        packed = appendix.pack(description, _concatenated(self._checksums), manifest)
        start = layout.appendix_start(self.end, len(packed), self._page_size)
        self._file.seek(start)
        self._file.write(packed)
        self._file.write(layout.alloc_table([allocations]))
        num_bytes = self._file.tell()
        self._file.seek(0)
        names, fields = self._encoder.names, self._encoder.fields
        self._file.write(layout.header(len(fields), self.num_samples, self._page_size, start + len(packed)))
        self._file.write(layout.descriptors(names, fields))
        appendix.seal(self._file, self._metadata_end, start)
        return num_bytes

    @property
    def _metadata_end(self) -> int:
        return self._metadata_start + self.num_samples * self._itemsize

    def _write_metadata(self, tables: Iterable[Tables]) -> None:
        """Write the records with the placeholders replaced by pointers."""
        pointers, done = _concatenated(self._pointers).astype("<u8"), 0
        self._file.seek(self._metadata_start)
        for portion in tables:
            records = portion.records.copy().reshape(-1)
            stop = done + len(portion.sizes)
            records[portion.locations[:, None] + np.arange(8)] = pointers[done:stop].view(np.uint8).reshape(-1, 8)
            self._file.write(records.data)
            done = stop

    def _write_data(self, data: bytes | bytearray, pointers: np.ndarray, sizes: np.ndarray) -> None:
        view, at = memoryview(data), 0
        for offset, length in _runs(pointers, sizes):
            self._file.seek(offset)
            self._file.write(view[at : at + length])
            at += length

    def _read_data(self, pointers: np.ndarray, sizes: np.ndarray) -> bytes:
        found = []
        for offset, length in _runs(pointers, sizes):
            self._file.seek(offset)
            found.append(self._file.read(length))
        return b"".join(found)


def _concatenated(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype=np.uint64)


def _runs(pointers: np.ndarray, sizes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Offset and length in bytes of each run of allocations that follow one another without a gap."""
    room = layout.room(sizes)
    borders = np.flatnonzero(pointers[1:] != pointers[:-1] + room[:-1]) + 1
    for run in np.split(np.arange(len(pointers)), borders) if len(pointers) else []:
        yield int(pointers[run[0]]), int(room[run].sum())


def _portions(sizes: np.ndarray) -> Iterator[slice]:
    """Slices of allocations that have about `PART_BYTES` together."""
    ordinals = np.cumsum(layout.room(sizes)) // np.uint64(PART_BYTES)
    borders = [0, *(np.flatnonzero(np.diff(ordinals)) + 1).tolist(), len(sizes)]
    for start, stop in zip(borders[:-1], borders[1:], strict=True):
        yield slice(start, stop)
