"""Conversion of a dataset into a beton.

Worker processes encode, one process writes: strictly in the order of the samples, so that the file is the same to the
byte for any number of workers, and whether it was written at once or in several runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ffcv_hydra.beton.fields.options import FieldSpecs
from ffcv_hydra.beton.summary import BetonSummary, describe_fields, tell_of_damage
from ffcv_hydra.beton.writing.encoding import OnWarning
from ffcv_hydra.beton.writing.part_stream import PartStream
from ffcv_hydra.beton.writing.partial import Partial
from ffcv_hydra.beton.writing.preparing import Indices, prepare
from ffcv_hydra.beton.writing.resuming import ResumableConversion, progress_bar
from ffcv_hydra.beton.writing.source import Place
from ffcv_hydra.errors import ConversionError


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
        page_size: Bytes, a power of two from 2 MiB to 2 GiB. None: 8 MiB, or more where the first sample is so
            large that it needs that to keep the gaps before page borders below 5 %.
        num_workers: Processes that encode: -1 one per usable core, 0 none (all happens in this process).
        indices: Which samples to store, in this order; or a function from the dataset's length to them. None: all.
        chunksize: Samples that a worker gets at a time, or fewer: as many as have 16 MiB if all are like the first one.
            Of `Shards`, it gets one shard.
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
    prepared = prepare(
        dataset,
        fields,
        page_size=page_size,
        num_workers=num_workers,
        indices=indices,
        chunksize=chunksize,
        shuffle_indices=shuffle_indices,
        seed=seed,
        description=description,
        on_warning=on_warning,
    )
    source, encoder = prepared.source, prepared.encoder
    with nullcontext(partial) if partial else Partial.locked(path) as held:
        conversion = ResumableConversion(held, source, encoder, prepared.page_size)
        conversion.begin(prepared.fingerprint, resume=resume)
        place = Place(conversion.num_portions)
        with (
            PartStream.opened(source, encoder, place, prepared.num_workers, held.path.parent) as parts,
            progress_bar(held.path.name, source.num_samples, conversion.num_samples, progress) as advance,
        ):
            conversion.write(parts, advance)
        num_bytes = conversion.finish(description, prepared.manifest)
    summary = BetonSummary(
        path,
        describe_fields(prepared.fields),
        conversion.num_samples,
        num_bytes,
        time.perf_counter() - started,
        conversion.num_warnings,
        conversion.warnings,
    )
    tell_of_damage(summary)
    return summary
