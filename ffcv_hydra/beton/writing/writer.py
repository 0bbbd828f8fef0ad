"""Conversion of a dataset into a beton.

Worker processes encode, one process writes: strictly in the order of the samples, so that the file is the same to the
byte for any number of workers, and whether it was written at once or in several runs.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ffcv_hydra.beton import layout
from ffcv_hydra.beton.fields.options import FieldSpecs, resolve_fields
from ffcv_hydra.beton.summary import BetonSummary, describe_fields
from ffcv_hydra.beton.writing.encoding import OnWarning, SampleEncoder
from ffcv_hydra.beton.writing.partial import Partial
from ffcv_hydra.beton.writing.resume_fingerprint import conversion_fingerprint
from ffcv_hydra.beton.writing.resuming import ResumableConversion
from ffcv_hydra.beton.writing.source import IndexedSource, Source, is_iterable_only, iterable_source
from ffcv_hydra.beton.writing.source_manifest import manifest_of
from ffcv_hydra.cores import usable_cores
from ffcv_hydra.errors import ConversionError, describe_error

logger = logging.getLogger(__name__)

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
    on_warning: OnWarning = "keep",
    overwrite: bool = True,
    resume: bool = True,
    progress: bool | None = None,
    partial: Partial | None = None,
) -> BetonSummary:
    """Write a dataset into a beton.

    If this is interrupted, its finished work stays beside `path` as `NAME.partial` and `NAME.partial.journal`, and the
    next conversion of the same dataset with the same options goes on from there. The same means: the same
    `description`, or without one a dataset that pickles to the same bytes; and the first samples of the first and of
    the last finished portion, encoded again, are those that were written. After a full disk nothing stays.

    Args:
        dataset: A map-style dataset (`__len__`, `__getitem__`) whose items are tuples; or one without length: `Shards`
            (see `beton.writing.source`), which workers read in parallel, or any iterable, which is read in this
            process and cannot be gone on with. Iterables are stored whole, in their order.
        path: The file to write; missing directories are made.
        fields: How to store each item, see `resolve_fields`.
        page_size: Bytes, a power of two from 2 MiB to 2 GiB. None: 8 MiB, or more where the first sample's largest
            allocation needs that to keep the gaps before page borders below 5 %.
        num_workers: Processes that encode: -1 one per usable core, 0 none (all happens in this process).
        indices: Which samples to store, in this order; or a function from the dataset's length to them. None: all.
        chunksize: Samples that a worker gets at a time; of `Shards`, it gets one shard.
        shuffle_indices: Store the samples in an order drawn with `seed`.
        seed: For `shuffle_indices`, and for datasets and fields that draw random numbers.
        description: What the file is made from, as plain values; stored with its fingerprint.
        on_warning: What to do with a damaged image whose decoder goes on: `keep` stores what can be read, counts it and
            tells of it; `error` raises. It shows in JPEGs and PNGs that the dataset has opened but not decoded.
        overwrite: Replace a file that is at `path` already.
        resume: Go on from what an interrupted conversion has left; else begin anew.
        progress: Show a progress bar on stderr. None: if stderr is a terminal.
        partial: The right to write `path`, where the caller holds it already.

    Raises:
        ConversionError: if a sample cannot be stored (names its index, and the field), a worker dies, an option is
            impossible, or the file cannot be written. Nothing new is then at `path`.
    """
    started = time.perf_counter()
    path = Path(os.path.expanduser(path))
    if not overwrite and path.exists():
        raise ConversionError(f"{path} exists already; allow overwriting it, or choose another path")
    if on_warning not in ("keep", "error"):
        raise ConversionError(f"on_warning is {on_warning!r}; use keep or error")
    for name, value, least in (("chunksize", chunksize, 1), ("num_workers", num_workers, -1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConversionError(f"{name} is a whole number of at least {least}; got {value!r}")
    length = None if is_iterable_only(dataset) else _length(dataset)
    manifest = manifest_of(dataset)
    names = None if manifest is None else manifest.names
    source = _source(dataset, length, names, indices, chunksize, shuffle_indices, seed)
    encoded = b"" if manifest is None else replace(manifest, order=source.order).encode()
    first, item = source.first()
    resolved = resolve_fields(item, fields, index=first)
    encoder = SampleEncoder(resolved, seed, on_warning)
    if page_size is None:
        page_size = layout.page_size_for(int(encoder.encode_item(item, first).tables.sizes.max(initial=0)))
    layout.check_page_size(page_size)
    fingerprint = conversion_fingerprint(source, encoder, page_size, description, b"" if names is None else encoded)
    with nullcontext(partial) if partial else Partial.locked(path) as held:
        conversion = ResumableConversion(held, source, encoder, page_size)
        conversion.begin(fingerprint, resume=resume)
        conversion.write_portions(usable_cores() if num_workers == -1 else num_workers, progress)
        num_bytes = conversion.finish(description, encoded)
    summary = BetonSummary(
        path,
        describe_fields(resolved),
        conversion.num_samples,
        num_bytes,
        time.perf_counter() - started,
        conversion.num_warnings,
        conversion.warnings,
    )
    if summary.warnings:
        found, total = summary.num_warnings, summary.num_samples
        logger.warning(
            "%s: %d of %d samples come from damaged files; the first: %s", path, found, total, summary.warnings[0]
        )
    return summary


def choose_indices(
    num_samples: int,
    indices: Indices | None = None,
    shuffle_indices: bool = False,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """The indices in the dataset to store, int64, in the order of the beton.

    Of a function that has a method `of_names` and items that have `names`, that method is asked.

    Raises:
        ConversionError: if there are none, or one is not an index of the dataset.
    """
    if callable(indices):
        by_name = names is not None and hasattr(indices, "of_names")
        indices = indices.of_names(names) if by_name else indices(num_samples)  # type: ignore[attr-defined]
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


def _source(
    dataset: Any,
    length: int | None,
    names: Sequence[str] | None,
    indices: Indices | None,
    chunksize: int,
    shuffle_indices: bool,
    seed: int,
) -> Source:
    if length is None:
        if indices is not None or shuffle_indices:
            kind = type(dataset).__name__
            raise ConversionError(f"indices: {kind} has no length and is stored whole, in its order; leave them out")
        return iterable_source(dataset)
    chosen = choose_indices(length, indices, shuffle_indices, seed, names)
    return IndexedSource(dataset, chosen, chunksize)


def _length(dataset: Any) -> int:
    kind = type(dataset).__name__
    if not hasattr(dataset, "__len__"):
        raise ConversionError(f"{kind} has no length and cannot be iterated; convert a torch dataset")
    try:
        return len(dataset)
    except Exception as error:
        raise ConversionError(f"{kind}.__len__ gives no number of items: {describe_error(error)}") from error
