"""Conversion of a dataset into a sharded beton: the file conversion, once per shard, and an index at the end."""

from __future__ import annotations

import hashlib
import logging
import os
import reprlib
import socket
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from ffcv_hydra.beton import layout
from ffcv_hydra.beton.appendix import fingerprint as fingerprint_of
from ffcv_hydra.beton.appendix import first_difference, normalise
from ffcv_hydra.beton.fields.options import FieldSpecs
from ffcv_hydra.beton.inspection.manifest_difference import compare
from ffcv_hydra.beton.manifest import decode
from ffcv_hydra.beton.summary import BetonSummary, describe_fields, tell_of_damage
from ffcv_hydra.beton.writing.partial import Partial
from ffcv_hydra.beton.writing.preparing import Preparation, prepare
from ffcv_hydra.beton.writing.resuming import MAX_WARNINGS, progress_bar
from ffcv_hydra.collection.index import Index, ShardEntry
from ffcv_hydra.collection.limits import ShardLimits
from ffcv_hydra.collection.shard_writer import ShardWriter
from ffcv_hydra.collection.unfinished import ConversionRecord, UnfinishedShards
from ffcv_hydra.errors import BetonError

logger = logging.getLogger(__name__)


def write_sharded_beton(
    dataset: Any,
    path: str | os.PathLike[str],
    fields: FieldSpecs = None,
    *,
    shards: int | None = None,
    shard_size: int | str | None = None,
    resume: bool = True,
    progress: bool | None = None,
    partial: Partial | None = None,
    **options: Any,
) -> BetonSummary:
    """Write a dataset into a folder of shards, each of which is a beton, and their index.

    The folder appears at `path` when it is whole. Meanwhile it is `NAME.partial.shards`, and a conversion that was
    interrupted goes on from there: finished shards are kept, and the one at work is gone on with as a single beton is.
    The bytes are the same for any number of workers and interruptions.

    What is at `path` already, a file or a folder of shards, is replaced; `put_in_place` says what a crash may leave
    then, which the next conversion mends.

    Args:
        dataset, fields: See `write_beton`.
        path: The folder.
        shards: How many shards: of as equal numbers of samples as can be.
        shard_size: Bytes of a shard, as a number or a text such as `500MB`: each ends with the sample that reaches
            them, and is larger by that, by gaps before pages' borders and by its head.
        resume, progress, partial: See `write_beton`.
        options: The other arguments of `write_beton`: `page_size`, `num_workers`, `indices`, `chunksize`,
            `shuffle_indices`, `seed`, `description`, `on_warning`.

    Raises:
        ConversionError: as `write_beton`; also if shards cannot be cut in this way, or the folder at `path` has other
            files in it. Nothing new is then at `path`.
    """
    path = Path(os.path.expanduser(path))
    prepared = prepare(dataset, fields, **options)
    conversion = ShardedConversion(prepared, ShardLimits(prepared.source, shards, shard_size))
    with nullcontext(partial) if partial else Partial.locked(path) as held:
        held.discard()
        unfinished = UnfinishedShards(held.path)
        summary = conversion.complete(unfinished, conversion.kept(unfinished) if resume else None, progress)
    tell_of_damage(summary)
    return replace(summary, path=path)


class ShardedConversion:
    """A conversion into shards that can begin.

    Args:
        prepared: What is converted.
        limits: How it is cut.
        who: Converts it, in words.
        base: Tells what the shards are added to; empty if they are all there is.

    Attributes:
        record: Which conversion it is.
    """

    def __init__(self, prepared: Preparation, limits: ShardLimits, who: str = "a process", base: str = "") -> None:
        self.prepared = prepared
        self.limits = limits
        self.fingerprint = None
        if prepared.fingerprint is not None:
            what = repr((limits.num_shards, limits.num_bytes, base)).encode()
            self.fingerprint = hashlib.sha256(prepared.fingerprint + what).digest()
        options = {
            "shards": limits.num_shards,
            "shard_size": limits.num_bytes,
            "page_size": prepared.page_size,
            "on_warning": prepared.encoder.on_warning,
            "seed": prepared.encoder.seed,
            "samples": prepared.source.num_samples,
            "portions": prepared.source.num_portions,
            "fields": describe_fields(prepared.fields),
        }
        self.record = ConversionRecord(
            None if self.fingerprint is None else self.fingerprint.hex(),
            f"{who} on {socket.gethostname()}",
            normalise(prepared.description or {}),
            {"conversion": options},
        )
        self._began = time.perf_counter()

    def writer(self, unfinished: UnfinishedShards, *, shared: bool = False) -> ShardWriter:
        """What makes its shards; `shared`: other processes make some of them."""
        return ShardWriter(self.prepared, self.limits, self.fingerprint, unfinished, shared=shared)

    def complete(
        self, unfinished: UnfinishedShards, entries: dict[int, ShardEntry] | None, progress: bool | None
    ) -> BetonSummary:
        """Make the shards that are missing, and let all appear; the caller has the right to write the beton.

        Args:
            unfinished: Where the shards are.
            entries: What is in those to go on from, by number; None: to begin anew.
            progress: Whether to show a bar.
        """
        writer = self.writer(unfinished)
        try:
            if entries is None:
                unfinished.begin(self.record, self.prepared.manifest)
                entries = {}
            with progress_bar(unfinished.path.name, self.prepared.source.num_samples, 0, progress) as advance:
                for entry in entries.values():
                    advance(entry.num_samples)
                for number in writer.write(range(self.limits.num_shards or sys.maxsize), advance):
                    entries[number] = writer.entry(number)
            ends = [end for number in range(len(entries)) if (end := unfinished.end(number)) is not None]
            record = unfinished.record()
            index = self._index([entries[number] for number in range(len(entries))], record.manifest if record else "")
            index = unfinished.appear(index)
        except BaseException:
            unfinished.leave()
            raise
        return BetonSummary(
            unfinished.path,
            index.kinds,
            index.num_samples,
            index.num_bytes,
            time.perf_counter() - self._began,
            sum(end.num_warnings for end in ends),
            tuple(line for end in ends for line in end.warnings)[:MAX_WARNINGS],
            len(index.shards),
        )

    def kept(self, unfinished: UnfinishedShards) -> dict[int, ShardEntry] | None:
        """The finished shards of an earlier conversion to go on from; None: to begin anew."""
        if not unfinished.is_there():
            return None
        if difference := self.difference(unfinished):
            logger.warning("%s is of another conversion: %s; it is replaced", unfinished.folder, difference)
            return None
        writer = self.writer(unfinished)
        entries = writer.kept()
        if all(writer.begins_the_same(number) for number in {*list(entries)[:1], *list(entries)[-1:]}):
            return entries
        logger.warning("%s: the dataset gives other samples now; beginning anew", unfinished.folder)
        return None

    def difference(self, unfinished: UnfinishedShards) -> str | None:
        """What shards that were begun are made from or of otherwise, in words; None: they are of this conversion."""
        found, mine, manifest = unfinished.record(), self.record, self.prepared.manifest
        if found is None:
            return "it does not say what it is"
        try:
            stored = (unfinished.folder / found.manifest).read_bytes() if found.manifest else b""
            changes = compare(decode(stored), decode(manifest)) if stored and manifest and stored != manifest else ""
        except (OSError, BetonError) as error:
            return f"its manifest cannot be read: {error}"
        difference = first_difference(found.description, mine.description)
        if difference is None and changes:
            return f"seen from there, the source has changed: {changes}"
        if difference := difference or first_difference(found.options, mine.options):
            key, there, here = difference
            return f"{key} is {reprlib.repr(there)} there, and {reprlib.repr(here)} here"
        if found.fingerprint is None or found.fingerprint != mine.fingerprint:
            return "the dataset, the choice of its items, or the version of this package is another"
        return None

    def _index(self, entries: list[ShardEntry], manifest: str) -> Index:
        prepared, described = self.prepared, self.prepared.description
        return Index(
            tuple(entries),
            fields_identity_of(prepared),
            describe_fields(prepared.fields),
            None if described is None else normalise(described),
            None if described is None else fingerprint_of(described),
            manifest,
        )


def fields_identity_of(prepared: Preparation) -> str:
    """`fields_identity` of the betons that a conversion writes."""
    return hashlib.sha256(layout.descriptors(prepared.encoder.names, prepared.encoder.fields)).hexdigest()
