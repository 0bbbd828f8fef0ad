"""Some samples of betons, copied as they are stored into a beton of their own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ffcv_hydra.beton.allocations import BLOCK_ROWS
from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.beton.summary import BetonSummary
from ffcv_hydra.beton.writing.writer import write_beton
from ffcv_hydra.collection.facts import read_facts
from ffcv_hydra.collection.paths import absolute
from ffcv_hydra.collection.stored_samples import StoredSamples
from ffcv_hydra.collection.where import Condition
from ffcv_hydra.collection.writing import write_sharded_beton
from ffcv_hydra.errors import BetonError, ConversionError


def subset(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    where: str | None = None,
    indices: Sequence[int] | np.ndarray | None = None,
    fraction: float | None = None,
    seed: int = 0,
    shards: int | None = None,
    shard_size: int | str | None = None,
    progress: bool | None = None,
) -> BetonSummary:
    """Copy samples into a new beton; all of them, if nothing is chosen.

    Their data are copied as they are stored, and compared with their checksums. The new beton is what a conversion of
    these samples would have written, and appears when it is whole; what it is a subset of is in its description, and
    the samples' names and classes are in its manifest. It has the page size of the betons it is made of.

    Args:
        paths: A beton, a file or a sharded one, or several that are read as one.
        output: The new beton.
        where: A condition that samples have to fulfil, see `Condition`.
        indices: Ids of samples, in the order that they shall have.
        fraction: A share of what `where` and `indices` leave, from 0 to 1, drawn with `seed`; their order stays.
        seed: Of that.
        shards, shard_size: Write a folder of shards, see `write_sharded_beton`.
        progress: Show a progress bar on stderr. None: if stderr is a terminal.

    Raises:
        BetonError: if a beton cannot be used, fields differ, or something is at `output`.
        ConversionError: if `where` cannot be read, a choice is impossible or leaves nothing, a sample is damaged, or
            the output cannot be written.
    """
    named = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    target = absolute(output)
    if target.exists():
        raise BetonError(f"{target} exists already; choose another output, or remove it")
    samples = StoredSamples(named)
    total = len(samples)
    if indices is not None:
        samples.ids = _checked(indices, total)
    if where is not None:
        samples.ids = samples.ids[_fulfilling(samples, where)[samples.ids]]
        if not len(samples.ids):
            raise ConversionError(f"where: {where!r} is true of none of {total:,} samples")
    if fraction is not None:
        samples.ids = _drawn(samples.ids, fraction, seed)
    facts = [read_facts(member) for member in samples.members]
    chosen = {
        "of": [None if one is None else one.description for one in facts],
        "data": samples.identity,
        "where": where,
        "fraction": fraction,
        "seed": None if fraction is None else seed,
        "samples": hashlib.sha256(samples.ids.astype("<i8").data).hexdigest(),
    }
    options: dict[str, Any] = {
        "page_size": samples.page_size,
        "num_workers": 0,  # there is nothing to compute
        "description": {"subset": {name: value for name, value in chosen.items() if value is not None}},
        "progress": progress,
    }
    if shards is not None or shard_size is not None:
        return write_sharded_beton(samples, target, samples.fields, shards=shards, shard_size=shard_size, **options)
    return write_beton(samples, target, samples.fields, **options)


def _checked(indices: Sequence[int] | np.ndarray, total: int) -> np.ndarray:
    ids = np.asarray(indices)
    if ids.ndim != 1 or not ids.size or ids.dtype.kind not in "iu":
        raise ConversionError(f"indices: give a list of whole numbers; got {ids.dtype} of shape {ids.shape}")
    outside = ids[(ids < 0) | (ids >= total)]
    if outside.size:
        raise ConversionError(f"indices: there is no sample {outside[0]}; there are {total:,}, numbered from 0")
    values, counts = np.unique(ids, return_counts=True)
    if len(values) < len(ids):
        raise ConversionError(f"indices: sample {values[counts > 1][0]} is there twice; list it once")
    return ids.astype(np.int64)


def _drawn(ids: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    if not 0 < fraction <= 1:
        raise ConversionError(f"fraction={fraction:g}: use a share above 0, and up to 1")
    count = round(len(ids) * fraction)
    if not count:
        raise ConversionError(f"fraction={fraction:g} of {len(ids):,} samples is none; use a larger one")
    return ids[np.sort(np.random.default_rng(seed).permutation(len(ids))[:count])]


def _fulfilling(samples: StoredSamples, where: str) -> np.ndarray:
    """Which of all samples fulfil a condition, bool (num_samples,); file by file and block by block."""
    manifest = samples.whole_manifest()
    condition = Condition(where, list(_columns(samples.file(0).beton)), manifest.classes if manifest else None)
    found = np.empty(samples.first_ids[-1], dtype=bool)
    for number, (first, end) in enumerate(zip(samples.first_ids[:-1], samples.first_ids[1:], strict=True)):
        columns = _columns(samples.file(number).beton)
        for start in range(0, int(end - first), BLOCK_ROWS):
            block = {name: column[start : start + BLOCK_ROWS] for name, column in columns.items()}
            found[first + start : min(first + start + BLOCK_ROWS, end)] = condition(block)
    return found


def _columns(beton: Beton) -> dict[str, np.ndarray]:
    """What a condition may name: numbers, and the sides of images in pixels."""
    columns: dict[str, np.ndarray] = {}
    for name, field in beton.fields.items():
        metadata = beton.field_metadata(name)
        if isinstance(field, (IntField, FloatField)):
            columns[name] = metadata
        elif metadata.dtype.names and "height" in metadata.dtype.names:
            columns |= {f"{name}.{side}": _wide(metadata, side) for side in ("height", "width")}
    return columns


def _wide(metadata: np.ndarray, side: str) -> np.ndarray:
    """Numbers of 16 bits would run over in a product."""
    return metadata[side].astype(np.int64)
