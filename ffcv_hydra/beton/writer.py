"""Conversion of a map-style dataset into a beton.

Worker processes encode, one process writes: strictly in the order of the samples, so that the file is the same to the
byte for any number of workers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from ffcv_hydra.beton import appendix, layout
from ffcv_hydra.beton.encoding import Part, SampleEncoder, load_item
from ffcv_hydra.beton.field_options import FieldSpecs, resolve_fields
from ffcv_hydra.beton.summary import BetonSummary, describe_fields
from ffcv_hydra.beton.whole_file import whole_file
from ffcv_hydra.beton.worker_pool import WorkerPool
from ffcv_hydra.errors import ConversionError

Indices = Sequence[int] | np.ndarray | Callable[[int], np.ndarray]


def write_beton(
    dataset: Any,
    path: str | os.PathLike[str],
    fields: FieldSpecs = None,
    *,
    page_size: int | None = None,
    num_workers: int = -1,
    indices: Indices | None = None,
    chunksize: int = 100,
    shuffle_indices: bool = False,
    seed: int = 0,
    description: Mapping[str, Any] | None = None,
    overwrite: bool = True,
    progress: bool | None = None,
) -> BetonSummary:
    """Write a dataset into a beton.

    Args:
        dataset: A map-style dataset (`__len__`, `__getitem__`) whose items are tuples.
        path: The file to write; missing directories are made.
        fields: How to store each item, see `resolve_fields`.
        page_size: Bytes, a power of two from 2 MiB to 2 GiB. None: 8 MiB, or more where the first sample's largest
            allocation needs that to keep the gaps before page borders below 5 %.
        num_workers: Processes that encode: -1 one per usable core, 0 none (all happens in this process).
        indices: Which samples to store, in this order; or a function from the dataset's length to them. None: all.
        chunksize: Samples that a worker gets at a time.
        shuffle_indices: Store the samples in an order drawn with `seed`.
        seed: For `shuffle_indices`, and for datasets and fields that draw random numbers.
        description: What the file is made from, as plain values; stored with its fingerprint.
        overwrite: Replace a file that is at `path` already.
        progress: Show a progress bar on stderr. None: if stderr is a terminal.

    Raises:
        ConversionError: if a sample cannot be stored (names its index, and the field), a worker dies, an option is
            impossible, or the file cannot be written. Nothing new is then at `path`.
    """
    started = time.perf_counter()
    path = Path(path)
    if not overwrite and path.exists():
        raise ConversionError(f"{path} exists already; allow overwriting it, or choose another path")
    if chunksize < 1 or num_workers < -1:
        raise ConversionError(
            f"chunksize is {chunksize} (use 1 or more), num_workers is {num_workers} (use -1 or more)"
        )
    chosen = choose_indices(_length(dataset), indices, shuffle_indices, seed)
    first = int(chosen[0])
    item = load_item(dataset, first)
    resolved = resolve_fields(item, fields, index=first)
    encoder = SampleEncoder(resolved, seed)
    if page_size is None:
        page_size = layout.page_size_for(int(encoder.encode_item(item, first).sizes.max(initial=0)))
    layout.check_page_size(page_size)
    with whole_file(path) as file:
        beton = _BetonFile(file, encoder, chosen, page_size)
        _write_samples(beton, dataset, num_workers, chunksize, progress, path.name)
        num_bytes = beton.finish(appendix.pack(description))
    seconds = time.perf_counter() - started
    return BetonSummary(path, describe_fields(resolved), len(chosen), num_bytes, seconds)


def choose_indices(
    num_samples: int, indices: Indices | None = None, shuffle_indices: bool = False, seed: int = 0
) -> np.ndarray:
    """The indices in the dataset to store, int64, in the order of the beton.

    Raises:
        ConversionError: if there are none, or one is not an index of the dataset.
    """
    if callable(indices):
        indices = indices(num_samples)
    chosen = np.arange(num_samples) if indices is None else np.asarray(indices)
    if chosen.size == 0:
        what = "the dataset is empty" if num_samples == 0 else "indices is empty"
        raise ConversionError(f"{what}; a beton needs at least one sample")
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
        raise ConversionError(f"indices: expected a 1-D list of ints, got {chosen.dtype} of shape {chosen.shape}")
    outside = chosen[(chosen < 0) | (chosen >= num_samples)]
    if outside.size:
        raise ConversionError(f"indices: {outside[0]} is not in the dataset, which has {num_samples} samples")
    chosen = chosen.astype(np.int64)
    return np.random.default_rng(seed).permutation(chosen) if shuffle_indices else chosen


class _BetonFile:
    """The file while it is written."""

    def __init__(self, file: BinaryIO, encoder: SampleEncoder, indices: np.ndarray, page_size: int) -> None:
        self.encoder = encoder
        self.indices = indices
        self._file = file
        self._page_size = page_size
        self._metadata_start = layout.metadata_start(len(encoder.fields))
        self._end = self._metadata_start + len(indices) * encoder.dtype.itemsize
        self._allocations: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, part: Part) -> None:
        """Write a part's data, and its records with the placeholders replaced by pointers."""
        self._check_sizes(part)
        pointers, end = layout.place(part.sizes, self._end, self._page_size)
        room = layout.room(part.sizes)
        borders = np.flatnonzero(pointers[1:] != pointers[:-1] + room[:-1]) + 1
        data, at = memoryview(part.data), 0
        for run in np.split(np.arange(len(pointers)), borders) if len(pointers) else []:
            length = int(room[run].sum())
            self._file.seek(int(pointers[run[0]]))
            self._file.write(data[at : at + length])
            at += length
        records = part.records.copy().reshape(-1)
        records[part.locations[:, None] + np.arange(8)] = pointers.astype("<u8").view(np.uint8).reshape(-1, 8)
        self._file.seek(self._metadata_start + part.first * self.encoder.dtype.itemsize)
        self._file.write(records.data)
        self._allocations.append((part.sample_ids, pointers, part.sizes))
        self._end = end

    def finish(self, appendix_bytes: bytes) -> int:
        """Write all that surrounds the data; returns the size of the file in bytes."""
        self._file.seek(self._end)
        self._file.write(appendix_bytes)
        alloc_table_ptr = self._file.tell()
        self._file.write(layout.alloc_table(self._allocations))
        num_bytes = self._file.tell()
        self._file.seek(0)
        names, fields = self.encoder.names, self.encoder.fields
        self._file.write(layout.header(len(fields), len(self.indices), self._page_size, alloc_table_ptr))
        self._file.write(layout.descriptors(names, fields))
        return num_bytes

    def _check_sizes(self, part: Part) -> None:
        too_large = np.flatnonzero(part.sizes > self._page_size)
        if too_large.size:
            allocation = too_large[0]
            index = self.indices[int(part.sample_ids[allocation])]
            field = self.encoder.owner(int(part.locations[allocation]))
            raise layout.too_large(f"sample {index}, field {field!r}", int(part.sizes[allocation]), self._page_size)


def _write_samples(
    beton: _BetonFile, dataset: Any, num_workers: int, chunksize: int, progress: bool | None, label: str
) -> None:
    num_samples = len(beton.indices)
    num_chunks = -(-num_samples // chunksize)
    num_workers = min(usable_cores() if num_workers == -1 else num_workers, num_chunks)
    hide = None if progress is None else not progress  # None: hide where stderr is no terminal

    def write(parts: Iterator[Part]) -> None:
        with tqdm(total=num_samples, desc=label, unit=" samples", dynamic_ncols=True, disable=hide) as bar:
            for part in parts:
                beton.add(part)
                bar.update(len(part.records))

    if num_workers == 0:
        starts = range(0, num_samples, chunksize)
        chunks = ((at, min(at + chunksize, num_samples)) for at in starts)
        write(part for chunk in chunks for part in beton.encoder.encode_chunk(dataset, beton.indices, *chunk))
        return
    with WorkerPool(beton.encoder, dataset, beton.indices, num_workers) as pool:
        write(pool.encode(chunksize))


def usable_cores() -> int:
    """CPU cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _length(dataset: Any) -> int:
    try:
        return len(dataset)
    except TypeError as error:
        kind = type(dataset).__name__
        raise ConversionError(f"{kind} has no length; convert a map-style dataset (__len__, __getitem__)") from error
