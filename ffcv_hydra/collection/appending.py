"""Further shards of a sharded beton: the items that its dataset has got since it was converted."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ffcv_hydra.beton.data_digest import fields_identity
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.options import FieldSpecs
from ffcv_hydra.beton.inspection.manifest_difference import listed, losses
from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.beton.summary import BetonSummary, describe_fields, tell_of_damage
from ffcv_hydra.beton.writing.partial import Partial
from ffcv_hydra.beton.writing.placing import sync_directory
from ffcv_hydra.beton.writing.preparing import Indices, choose_indices, prepare
from ffcv_hydra.beton.writing.source import is_iterable_only
from ffcv_hydra.beton.writing.source_manifest import keep_classes, manifest_of
from ffcv_hydra.collection.entries import shard_entry
from ffcv_hydra.collection.facts import read_manifest
from ffcv_hydra.collection.index import MANIFEST_SUFFIX, Index, is_sharded, read_index, write_index
from ffcv_hydra.collection.limits import ShardLimits
from ffcv_hydra.collection.shard_writer import custom_fields
from ffcv_hydra.collection.unfinished import ConversionRecord, UnfinishedShards, remove_unfinished
from ffcv_hydra.collection.writing import ShardedConversion, fields_identity_of
from ffcv_hydra.errors import ConversionError

ANEW = "conversion.if_exists=overwrite converts all anew"


def append_to_beton(
    dataset: Any,
    path: Path,
    fields: FieldSpecs = None,
    *,
    partial: Partial,
    shards: int | None = None,
    shard_size: int | str | None = None,
    indices: Indices | None = None,
    shuffle_indices: bool = False,
    seed: int = 0,
    resume: bool = True,
    progress: bool | None = None,
    **options: Any,
) -> BetonSummary | None:
    """Convert the items that a beton does not have into further shards of its folder; one file becomes its first shard.

    Samples that are there keep their ids, and classes their numbers; new ones come after them. The new index replaces
    the old one when all is there. Until then the beton is what it was, and whoever reads it goes on with that. What is
    interrupted is gone on with.

    Args:
        dataset: What the beton was made from; its manifest names its items.
        path: The beton; the caller holds `partial`, the right to write it.
        fields, progress: See `write_beton`.
        shards, shard_size: How the new items are cut, see `write_sharded_beton`; no more shards than items. Default:
            one shard.
        indices, shuffle_indices, seed: Which items are stored, and in which order. Of the items of before they have to
            choose the same.
        resume: Whether to go on from what an interrupted one has left.
        options: The other arguments of `write_beton`.

    Returns:
        The summary of the whole; None if there is nothing new.

    Raises:
        ConversionError: if items were removed or changed, or it cannot be told which are new; as `write_beton`.
    """
    further: GrowingFile | FurtherShards
    if is_sharded(path):
        if UnfinishedShards(partial.path).folder.is_dir():
            remove_unfinished(partial.path)
        further = FurtherShards(partial.path, read_index(path))
    else:
        further = GrowingFile(partial.path, _index_of_file(path, fields))
    index, stored = further.index, read_manifest(path)
    keep_classes(dataset, stored)
    now = None if is_iterable_only(dataset) else manifest_of(dataset)
    if stored is None or stored.names is None or now is None or now.names is None:
        kind = type(dataset).__name__
        raise ConversionError(
            f"{path}: which items are new cannot be told, as those of {kind} have no names; give it a method manifest()"
            f" that names them (ffcv_hydra.beton.Manifest), and convert it anew"
        )
    if lost := losses(stored, now):
        raise ConversionError(f"{path}: only what is new can be appended; {lost}; {ANEW}")
    chosen = choose_indices(len(now.names), indices, shuffle_indices, seed, now.names)
    known = set(stored.names)
    new = np.array([item for item in chosen.tolist() if now.names[item] not in known], dtype=np.int64)
    _check_choice(path, stored, index, [now.names[item] for item in chosen.tolist() if now.names[item] in known], now)
    manifest = _joined(stored, now, index.num_samples, new)
    if not len(new):
        further.remove()
        if manifest != stored:  # items that are not chosen, or classes without items
            begun = further.begin(ConversionRecord(None, "an append", {}, {}), manifest.encode())
            further.appear(replace(index, shards=(), manifest=begun.manifest))
        return None
    prepared = prepare(dataset, fields, indices=new, seed=seed, manifest=now, **options)
    prepared = replace(prepared, manifest=manifest.encode())
    if fields_identity_of(prepared) != index.fields:
        raise ConversionError(f"{path}: the new items have other fields, or fields of other arguments; {ANEW}")
    limits = ShardLimits(prepared.source, min(shards or 1, len(new)) if shard_size is None else None, shard_size)
    conversion = ShardedConversion(prepared, limits, base="".join(shard.tables for shard in index.shards))
    summary = conversion.complete(further, conversion.kept(further) if resume else None, progress)
    tell_of_damage(summary)
    return replace(summary, path=path, num_added=len(new))


class GrowingFile(UnfinishedShards):
    """Shards of a folder that takes the place of a file, which is its first shard under a second name.

    Args:
        path: The file.
        index: Of a folder that has the file as its only shard.
    """

    first = 1

    def __init__(self, path: Path, index: Index) -> None:
        super().__init__(path)
        self.index = index

    def record(self) -> ConversionRecord | None:
        """As of other shards; None, too, if the first one is not this file."""
        first = self.folder / self.index.shards[0].file
        return super().record() if first.exists() and first.samefile(self.path) else None

    def begin(self, record: ConversionRecord, manifest: bytes) -> ConversionRecord:
        """As for other shards, beside the file."""
        begun = super().begin(record, manifest)
        try:
            os.link(self.path, self.folder / self.index.shards[0].file)
        except OSError as error:
            self.remove()
            raise ConversionError(
                f"{self.path}: cannot become a shard, which takes a hard link ({error.strerror}); convert it anew by"
                f" conversion.if_exists=overwrite conversion.shards=1"
            ) from error
        return begun

    def appear(self, index: Index) -> Index:
        """Let the folder of all shards, with the index of all, be in the place of the file."""
        return super().appear(_with(self.index, index))


class FurtherShards(UnfinishedShards):
    """Shards that are written into the folder of a beton, whose index does not speak of them yet.

    Args:
        path: The beton.
        index: Of it.
    """

    def __init__(self, path: Path, index: Index) -> None:
        super().__init__(path)
        self.folder = path
        self.index = index
        names = [Path(shard.file).name.partition(".")[0] for shard in index.shards]
        self.first = 1 + max((int(name) for name in names if name.isdecimal()), default=-1)

    def record(self) -> ConversionRecord | None:
        """As of other shards; None, too, if the index speaks of them already."""
        found = super().record()
        return None if found is None or found.manifest == self.index.manifest else found

    def appear(self, index: Index) -> Index:
        """Let the index speak of them, too; that of the shards is replaced by that of all, which is given."""
        before, whole = self.index, _with(self.index, index)
        for path in self._left():
            path.unlink()
        write_index(self.folder, whole)
        sync_directory(self.folder)
        for path in self.folder.glob(f"manifest-*{MANIFEST_SUFFIX}"):
            if path.name not in (before.manifest, whole.manifest):  # who reads the old index may ask for the first
                path.unlink()
        self._remove_facts()
        return whole

    def remove(self) -> None:
        """Remove what an interrupted one has left."""
        record = self.record()
        for path in (*self._shards(), *([self.folder / record.manifest] if record and record.manifest else ())):
            path.unlink(missing_ok=True)
        self._remove_facts()


def _with(before: Index, further: Index) -> Index:
    return replace(before, shards=(*before.shards, *further.shards), manifest=further.manifest)


def _index_of_file(path: Path, fields: FieldSpecs) -> Index:
    """The index of a folder that has a file as its only shard."""
    given = fields if isinstance(fields, Mapping) else {}
    beton = Beton(path, custom_fields({name: field for name, field in given.items() if isinstance(field, Field)}))
    return Index(
        (shard_entry(beton, "00000.beton"),),
        fields_identity(beton),
        describe_fields(beton.fields),
        beton.description,
        beton.fingerprint,
    )


def _check_choice(path: Path, stored: Manifest, index: Index, chosen: Sequence[str], now: Manifest) -> None:
    """Raise `ConversionError` unless the same items of before are chosen as then."""
    before, after = set(stored.sample_names(index.num_samples)), set(chosen)
    difference = [
        listed(now.kind, sorted(before - after), "not chosen any more"),
        listed(now.kind, sorted(after - before), "of before that were not chosen then"),
    ]
    if before != after:
        told = ", ".join(filter(None, difference))
        raise ConversionError(
            f"{path}: conversion.indices chooses others of the items that were there: {told}; choose by names, as"
            f" SplitFraction does, or convert anew by conversion.if_exists=overwrite"
        )


def _joined(stored: Manifest, now: Manifest, num_samples: int, new: np.ndarray) -> Manifest:
    """The manifest of the whole: items and classes of before as they were, then what is new.

    Args:
        stored: The manifest of before.
        now: That of the dataset.
        num_samples: Samples that there were.
        new: Which of the dataset's items are the new samples, int64 (N,).
    """
    names, added = [*(stored.names or ())], set(stored.names or ())
    items = [item for item, name in enumerate(now.names or ()) if name not in added]
    place = {item: len(names) + number for number, item in enumerate(items)}
    order = [*(range(num_samples) if stored.order is None else stored.order), *(place[item] for item in new.tolist())]
    columns: dict[str, Any] = {}
    for what in ("names", "sizes", "labels", "hashes"):
        before, after = getattr(stored, what), getattr(now, what)
        columns[what] = None if before is None or after is None else [*before, *(after[item] for item in items)]
    in_order = len(order) == len(names) + len(items) and order == list(range(len(order)))
    return replace(stored, **columns, classes=now.classes, kind=now.kind, order=None if in_order else order)
