"""Whether a beton, one file or sharded, is whole: each shard, and whether it is the one that the index speaks of."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ffcv_hydra.beton.data_digest import fields_identity
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.reading import verification
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.beton.reading.verification import Progress, Verification
from ffcv_hydra.beton.summary import describe_fields
from ffcv_hydra.collection.entries import shard_entry
from ffcv_hydra.collection.facts import read_manifest, read_names
from ffcv_hydra.collection.index import Index, ShardEntry, is_sharded, read_index
from ffcv_hydra.errors import BetonError
from ffcv_hydra.urls import shown

CHANGED = "is not the file that the index speaks of"


def verify(
    path: str | os.PathLike[str],
    *,
    decode: bool = False,
    num_workers: int = -1,
    custom_fields: Mapping[str, type[Field]] | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Check a beton, see `ffcv_hydra.beton.reading.verification.verify`; of a folder, its index and each shard.

    Of a folder, progress is told in samples.
    """
    verify_file = partial(verification.verify, decode=decode, num_workers=num_workers, custom_fields=custom_fields)
    if not is_sharded(path):
        return verify_file(path, progress=progress)
    path = Path(os.path.expanduser(path))
    try:
        index = read_index(path)
        read_manifest(path)
        names = read_names(path, index.num_samples, index)
    except BetonError as error:
        return Verification(path, [str(error)], 0, 0, False, 0, 0)
    found: list[Verification] = []
    findings: list[str] = []
    for shard, start in zip(index.shards, index.starts.tolist(), strict=False):
        location = shard.location(path)
        if "://" in location:
            findings.append(f"{shown(location)}: is on another machine, and was not checked")
            continue

        def advance(done: int, total: int, start: int = start, shard: ShardEntry = shard) -> None:
            if progress is not None:
                progress(start + shard.num_samples * done // max(total, 1), index.num_samples)

        one = verify_file(location, progress=advance, first_id=start, name_of=names.sample_name if names else None)
        findings += [*one.findings, *(_changes(location, index, shard, custom_fields) if one.num_samples else ())]
        found.append(one)
    return Verification(
        path,
        findings,
        sum(one.num_samples for one in found),
        sum(one.num_allocations for one in found),
        all(one.has_checksums for one in found if one.num_samples),
        sum(one.num_decoded for one in found),
        sum(one.num_masks for one in found),
        len(index.shards),
    )


def _changes(
    location: str, index: Index, shard: ShardEntry, custom_fields: Mapping[str, type[Field]] | None
) -> Iterator[str]:
    """What differs first between a shard and what the index says of it."""
    beton = Beton(location, custom_fields)
    entry = shard_entry(beton, shard.file)
    compared: tuple[tuple[str, Any, Any], ...] = (
        ("samples", entry.num_samples, shard.num_samples),
        ("fields", fields_identity(beton), index.fields),
        ("kinds of fields", describe_fields(beton.fields), index.kinds),
        ("bytes", entry.num_bytes, shard.num_bytes),
        ("tables", entry.tables, shard.tables),
        ("digest", entry.data, shard.data),
        ("bytes of a page", entry.page_size, shard.page_size or entry.page_size),
        ("extremes", {key: entry.extremes.get(key) for key in shard.extremes}, shard.extremes),
    )
    for what, found, told in compared:
        if found != told:
            difference = f"it has {found:,} {what}, not {told:,}" if isinstance(found, int) else f"its {what} differ"
            yield f"{location}: {CHANGED}: {difference}; restore it, or convert or merge again"
            return
