"""Whether a beton is whole: its structure, its allocations, their checksums, and on request every image.

The file is read with `pread`, not mapped: a disk that fails, or a file that is cut meanwhile, is then a finding and not
the end of the process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.image_array_field import ImageArrayField
from ffcv_hydra.beton.fields.image_fields import JPEG, RAW, RUNS, is_image
from ffcv_hydra.beton.reading.exact_reading import read_at
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.beton.reading.source_names import with_name
from ffcv_hydra.cores import usable_cores
from ffcv_hydra.errors import BetonError
from ffcv_hydra.kernels.jpeg.turbojpeg import complaint
from ffcv_hydra.kernels.memory.checksum import first_mismatch
from ffcv_hydra.kernels.memory.mask_codec import decode_whole_mask

CHUNK_BYTES = 8 << 20  # what a thread reads and checks at a time

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        path: The file.
        findings: One line each; empty if the file is whole.
        num_samples: Samples in the file; 0 if it could not be opened.
        num_allocations: Allocations that were checked.
        has_checksums: Whether the file has checksums to compare the data with. Files of stock FFCV have none.
        num_decoded: JPEGs that were decoded.
        num_masks: Run-length coded masks that were decoded.
        num_shards: How many files it has; None if it is one.
    """

    path: Path
    findings: list[str]
    num_samples: int
    num_allocations: int
    has_checksums: bool
    num_decoded: int
    num_masks: int
    num_shards: int | None = None


def verify(
    path: str | os.PathLike[str],
    *,
    decode: bool = False,
    num_workers: int = -1,
    custom_fields: Mapping[str, type[Field]] | None = None,
    progress: Progress | None = None,
    first_id: int = 0,
    name_of: Callable[[int], str | None] | None = None,
) -> Verification:
    """Check a beton.

    Args:
        path: The file.
        decode: Also decode every JPEG, run-length coded mask and image in tiles; a warning of TurboJPEG is a finding,
            too.
        num_workers: Threads; -1 is one per usable core.
        custom_fields: Field classes by field name, for fields that FFCV has no type id for.
        progress: Called now and then, from this thread, with the number of allocations done and of all.
        first_id: What the first sample is called in the whole that the file is a shard of.
        name_of: Gives the name of a sample of the whole, if it has one; by default, the file's manifest does.
    """
    path = Path(os.path.expanduser(path))
    try:
        beton = Beton(path, custom_fields)
    except BetonError as error:
        return Verification(path, [str(error)], 0, 0, False, 0, 0)
    verifier = _Verifier(beton, decode, first_id, name_of or beton.sample_name)
    findings = [f"{path}: {finding}" for finding in verifier.run(num_workers, progress)]
    num_allocations, has_checksums = len(beton.pointers), beton.checksums is not None
    decoded = verifier.num_decoded, verifier.num_masks
    return Verification(path, findings, beton.num_samples, num_allocations, has_checksums, *decoded)


class _Verifier:
    def __init__(self, beton: Beton, decode: bool, first_id: int, name_of: Callable[[int], str | None]) -> None:
        self._first_id, self._name_of = first_id, name_of
        self.num_decoded = self.num_masks = 0
        self._beton = beton
        self._names = list(beton.fields)
        self._owners = np.full(len(beton.pointers), -1)  # position of the field that each allocation is of
        self._samples = beton.sample_ids.astype(np.int64)  # as the metadata say, where they do
        # of images that are decoded: how they are stored, and height and width; else RAW and 0
        self._image_sizes = np.zeros((len(beton.pointers), 2), dtype=np.int64)
        self._modes = np.full(len(beton.pointers), RAW, dtype=np.uint8)
        for position, name in enumerate(self._names):
            self._assign(position, name, decode)

    def run(self, num_workers: int, progress: Progress | None) -> list[str]:
        findings = list(self._check_table())
        count = len(self._beton.pointers)
        chunks = list(self._chunks())
        workers = num_workers if num_workers > 0 else usable_cores()
        descriptor = os.open(self._beton.path, os.O_RDONLY)
        try:
            with ThreadPoolExecutor(workers, "verify") as pool:
                for (_, stop), found in zip(
                    chunks, pool.map(partial(self._check_chunk, descriptor), chunks), strict=True
                ):
                    findings += found
                    if progress is not None:
                        progress(stop, count)
        finally:
            os.close(descriptor)
        self.num_masks = int(np.count_nonzero(self._modes == RUNS))
        self.num_decoded = int(np.count_nonzero(self._modes == JPEG))
        return findings

    def _assign(self, position: int, name: str, decode: bool) -> None:
        """Note which allocations are of a field, and which of these are to be decoded."""
        extents = self._beton.extents(name)
        if extents is None:
            return
        # An empty value of stock FFCV shares its pointer; searching from the right finds the one with the data.
        slots = np.searchsorted(self._beton.pointers, extents[0], side="right") - 1
        has_data = extents[1] > 0
        self._owners[slots[has_data]] = position
        self._samples[slots[has_data]] = np.flatnonzero(has_data)
        if decode and is_image(self._beton.fields[name]):
            metadata = self._beton.field_metadata(name)
            coded = metadata["mode"] != RAW
            self._image_sizes[slots[coded], 0] = metadata["height"][coded]
            self._image_sizes[slots[coded], 1] = metadata["width"][coded]
            self._modes[slots[coded]] = metadata["mode"][coded]

    def _check_table(self) -> Iterator[str]:
        """What the allocation table alone can tell; that all is inside the data region is known since opening."""
        beton = self._beton
        ends = beton.pointers + beton.sizes
        overlaps = np.zeros(len(ends), dtype=bool)
        overlaps[1:] = beton.pointers[1:] < np.maximum.accumulate(ends)[:-1]
        for row in np.flatnonzero(overlaps).tolist():
            yield f"{self._where(row)}the allocation at {beton.pointers[row]} overlaps the one before"
        page_size = np.uint64(beton.page_size)
        last_bytes = np.maximum(ends, beton.pointers + np.uint64(1)) - np.uint64(1)
        for row in np.flatnonzero(beton.pointers // page_size != last_bytes // page_size).tolist():
            yield f"{self._where(row)}the allocation at {beton.pointers[row]} crosses the border of a page"
        for row in np.flatnonzero(beton.sample_ids != self._samples.astype(np.uint64)).tolist():
            yield f"{self._where(row)}the allocation table says that it belongs to sample {beton.sample_ids[row]}"

    def _chunks(self) -> Iterator[tuple[int, int]]:
        """Consecutive allocations that lie within `CHUNK_BYTES`, as (start, stop); a larger one is on its own."""
        pointers = self._beton.pointers
        ends = np.maximum.accumulate(pointers + self._beton.sizes)
        start = 0
        while start < len(pointers):
            stop = int(np.searchsorted(ends, pointers[start] + np.uint64(CHUNK_BYTES), side="right"))
            stop = max(stop, start + 1)
            yield start, stop
            start = stop

    def _check_chunk(self, descriptor: int, rows: tuple[int, int]) -> list[str]:
        start, stop = rows
        pointers, sizes = (column[start:stop].astype(np.int64) for column in (self._beton.pointers, self._beton.sizes))
        begin, end = int(pointers[0]), int((pointers + sizes).max())
        try:
            data = _read(descriptor, begin, end)
        except OSError as error:
            return [f"{self._where(start)}cannot be read: {error.strerror or error}; restore the file"]
        except MemoryError:
            return [f"{self._where(start)}there is not enough memory for its {end - begin:,} bytes"]
        offsets = pointers - begin
        damaged = set()
        if self._beton.checksums is not None:
            damaged = set(_mismatches(data, offsets, sizes, self._beton.checksums[start:stop]))
        findings = [f"{self._where(start + row)}the stored bytes differ from their checksum" for row in sorted(damaged)]
        for row in np.flatnonzero(self._image_sizes[start:stop, 0]).tolist():
            if row not in damaged and (reason := self._decode(start + row, data[offsets[row] :][: sizes[row]])):
                findings.append(f"{self._where(start + row)}{reason}")
        return findings

    def _decode(self, row: int, data: np.ndarray) -> str | None:
        """What is wrong with a JPEG, a mask or an image in tiles, if anything."""
        height, width = (int(size) for size in self._image_sizes[row])
        field = self._beton.fields[self._names[self._owners[row]]]
        try:
            if isinstance(field, ImageArrayField):
                field.whole(data, height, width)
                return None
            if self._modes[row] == JPEG:
                found = complaint(data, height, width)
                return None if found is None else f"the JPEG does not decode cleanly: {found}"
            is_whole = decode_whole_mask(data, np.empty(height * width, dtype=np.uint8))
            return None if is_whole else f"the runs are not those of a mask of {width} x {height} pixels"
        except ValueError as error:
            return f"the image of {width} x {height} pixels cannot be read: {error}"
        except MemoryError:
            return f"there is not enough memory for {width} x {height} pixels"

    def _where(self, row: int) -> str:
        owner = self._owners[row]
        field = "" if owner < 0 else f"field '{self._names[owner]}', "
        sample = int(self._samples[row])
        here = f" ({sample} of this file)" if self._first_id else ""
        return f"{field}sample {with_name(self._first_id + sample, self._name_of)}{here}: "


def _read(descriptor: int, begin: int, end: int) -> np.ndarray:
    """The bytes of the file from `begin` to `end`, uint8. Raises OSError, also if the file is shorter."""
    data = np.empty(end - begin, dtype=np.uint8)
    if read_at(descriptor, begin, data) < len(data):
        raise OSError("the file ends before it")
    data.setflags(write=False)
    return data


def _mismatches(data: np.ndarray, offsets: np.ndarray, sizes: np.ndarray, checksums: np.ndarray) -> Iterator[int]:
    """The positions of all allocations that differ from their checksums."""
    start = 0
    while (found := int(first_mismatch(data, offsets[start:], sizes[start:], checksums[start:]))) >= 0:
        yield start + found
        start += found + 1
