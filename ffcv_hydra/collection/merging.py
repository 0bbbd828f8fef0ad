"""An index of betons where they are: to read them as one, nothing is copied."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ffcv_hydra.beton.appendix import fingerprint
from ffcv_hydra.beton.data_digest import fields_identity
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.beton.summary import describe_fields
from ffcv_hydra.beton.writing.partial import Partial
from ffcv_hydra.beton_path import is_sharded
from ffcv_hydra.collection.entries import shard_entry
from ffcv_hydra.collection.facts import joined_manifest, read_facts
from ffcv_hydra.collection.index import Index, ShardEntry, read_index
from ffcv_hydra.collection.paths import absolute
from ffcv_hydra.collection.shards import opened
from ffcv_hydra.collection.unfinished import ConversionRecord, UnfinishedShards
from ffcv_hydra.errors import BetonError
from ffcv_hydra.urls import shown


def merge(paths: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str]) -> Index:
    """Write a folder with an index that refers to betons, in this order; of sharded ones, to their shards.

    Files below the folder that `output` is in are named relative to it, so that they may be moved together; others by
    their absolute paths. What each was made from is a list in the description, `merged`.

    Args:
        paths: Betons, files or sharded ones.
        output: The new folder.

    Raises:
        BetonError: if one cannot be used, two are the same file, fields or the numbers of classes differ, or something
            is at `output`.
        ConversionError: if the folder cannot be written.
    """
    target = absolute(output)
    members = [absolute(path) for path in paths]
    betons = [opened(member) for member in members]
    entries = [entry for pair in zip(members, betons, strict=True) for entry in _entries(*pair)]
    _check_distinct(entries)
    if len(members) > 1:
        opened(members)  # says how fields differ
    first = betons[0]
    identity = _fields_of(first)
    for member, beton in zip(members, betons, strict=True):
        if _fields_of(beton) != identity:
            raise BetonError(f"{member}: its fields were made with other arguments than those of {members[0]}")
    facts = [read_facts(member) for member in members]
    descriptions = [None if one is None else one.description for one in facts]
    description = None if all(one is None for one in descriptions) else {"merged": descriptions}
    index = Index(
        tuple(replace(entry, file=_named(entry.file, target)) for entry in entries),
        identity,
        describe_fields(first.fields),
        description,
        None if description is None else fingerprint(description),
    )
    manifest = joined_manifest(dict(zip(members, (beton.num_samples for beton in betons), strict=True)))
    with Partial.locked(target) as held:
        if target.exists():
            raise BetonError(f"{target} exists already; choose another output, or remove it")
        held.discard()
        unfinished = UnfinishedShards(held.path)
        try:
            record = ConversionRecord(None, "a merge", {}, {})
            begun = unfinished.begin(record, b"" if manifest is None else manifest.encode())
            index = replace(index, manifest=begun.manifest)
            unfinished.appear(index)
        finally:
            unfinished.leave()
    return index


def _fields_of(beton: Beton) -> str:
    return fields_identity(Beton(beton.files[0].path))


def _entries(member: Path, beton: Beton) -> list[ShardEntry]:
    """What an index says of a member, with absolute paths."""
    if is_sharded(member):
        return [replace(shard, file=shard.location(member)) for shard in read_index(member).shards]
    return [shard_entry(beton, str(member))]


def _check_distinct(entries: Sequence[ShardEntry]) -> None:
    seen: set[str] = set()
    for entry in entries:
        real = os.path.realpath(entry.file)
        if real in seen:
            raise BetonError(f"{shown(entry.file)} would be in it twice; leave one of them out")
        seen.add(real)


def _named(file: str, target: Path) -> str:
    """What the index in `target` calls a file."""
    is_near = "://" not in file and Path(file).is_relative_to(target.parent)
    return os.path.relpath(file, target) if is_near else file
