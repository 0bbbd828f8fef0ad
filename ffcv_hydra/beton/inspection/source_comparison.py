"""Whether a beton still holds what its source gives: manifests compared, and every item encoded again."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ffcv_hydra.beton.fields.options import FieldSpecs, resolve_fields
from ffcv_hydra.beton.inspection.manifest_difference import compare
from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.beton.tables import Tables
from ffcv_hydra.beton.writing.encoding import SampleEncoder
from ffcv_hydra.beton.writing.source import IndexedSource, PortionEnd, Source, is_iterable_only, iterable_source
from ffcv_hydra.beton.writing.source_manifest import manifest_of
from ffcv_hydra.beton.writing.worker_pool import WorkerPool
from ffcv_hydra.cores import usable_cores
from ffcv_hydra.errors import ConversionError

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


def compare_with_source(
    beton: Beton, dataset: Any, fields: FieldSpecs = None, num_workers: int = -1, progress: Progress | None = None
) -> Iterator[str]:
    """What differs between a beton and the dataset that it was made from, a line each.

    Items are known by their names, where they have some, else by their places. What is stored is a function of the item
    and of the versions of the libraries that encode images: with others of these, all may differ.

    Args:
        beton: The beton.
        dataset: What it was made from.
        fields: As in the conversion.
        num_workers: Processes that encode; -1 one per usable core.
        progress: Called now and then with the number of samples that were compared, and of all.
    """
    now = manifest_of(dataset)
    if beton.manifest is not None and now is not None and (difference := compare(beton.manifest, now)):
        yield f"the source has changed: {difference}"
    names = (beton.manifest or Manifest()).sample_names(beton.num_samples)
    source, samples = _still_there(beton, dataset, now, names)
    for sample in np.setdiff1d(np.arange(beton.num_samples), samples).tolist() if samples is not None else ():
        yield f"sample {sample} ({names[sample]}): is not in the source any more"
    if samples is not None and len(samples) == 0:
        return
    try:
        first, item = source.first()
        encoder = SampleEncoder(resolve_fields(item, fields, index=first))
        if encoder.names != list(beton.fields) or encoder.dtype != beton.metadata.dtype:
            raise ConversionError(f"its items have the fields {', '.join(encoder.names)} now")
        if any(getattr(field, "write_mode", None) == "proportion" for field in encoder.fields):
            logger.warning("%s: write_mode=proportion is drawn; only its manifest was compared", beton.path)
            return
        done = 0
        for tables in _encoded(source, encoder, usable_cores() if num_workers == -1 else num_workers):
            numbers = np.arange(done, done + tables.num_samples)
            numbers = numbers[numbers < beton.num_samples] if samples is None else samples[numbers]
            for sample in numbers[_differing(beton, encoder, tables, numbers)].tolist():
                yield f"sample {sample} ({names[sample]}): the source gives something else now"
            done += tables.num_samples
            if progress is not None:
                progress(min(done, beton.num_samples), beton.num_samples)
        if samples is None and done != beton.num_samples:
            yield f"the source gives {done:,} samples now, the file has {beton.num_samples:,}"
    except ConversionError as error:
        yield f"the source cannot be compared from here on: {error}"


def _still_there(
    beton: Beton, dataset: Any, now: Manifest | None, names: list[str]
) -> tuple[Source, np.ndarray | None]:
    """The items of the beton that the dataset still has, and which samples they are; None: all, as they come."""
    if is_iterable_only(dataset):
        return iterable_source(dataset), None
    has_names = beton.manifest is not None and beton.manifest.names is not None and now is not None
    current = now.names if has_names and now is not None and now.names is not None else range(len(dataset))
    places = {str(name): place for place, name in enumerate(current)}
    found = [(sample, places[name]) for sample, name in enumerate(names) if name in places]
    samples, indices = np.array(found, dtype=np.int64).reshape(-1, 2).T
    return IndexedSource(dataset, indices, chunksize=100), samples


def _encoded(source: Source, encoder: SampleEncoder, num_workers: int) -> Iterator[Tables]:
    num_workers = min(max(num_workers, 1), source.num_portions)
    with tempfile.TemporaryDirectory() as folder, WorkerPool(encoder, source, num_workers, Path(folder)) as pool:
        for part in pool.encode(range(source.num_portions)):
            if not isinstance(part, PortionEnd):
                yield part.tables


def _differing(beton: Beton, encoder: SampleEncoder, tables: Tables, samples: np.ndarray) -> np.ndarray:
    """Whether each of `samples` is stored differently from how it was encoded now, bool (N,)."""
    itemsize, count = encoder.dtype.itemsize, len(samples)
    stored = beton.metadata.view(np.uint8).reshape(-1, itemsize)[samples]
    records = tables.records[:count].copy()
    mine = tables.locations < count * itemsize
    locations, checksums = tables.locations[mine], tables.checksums[mine]
    for bytes_of in (stored, records):  # but for pointers, which are not known before the file is written
        bytes_of.reshape(-1)[locations[:, None] + np.arange(8)] = 0
    differs = (stored != records).any(axis=1)
    for name in encoder.names:
        known = beton.checksums_of(name)
        offsets = encoder.pointer_offsets(name)
        if known is None or len(offsets) != 1:
            continue
        of_field = locations % itemsize == offsets[0]
        rows = locations[of_field] // itemsize
        differs[rows] |= checksums[of_field] != known[samples[rows]]
    return differs
