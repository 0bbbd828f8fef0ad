"""Conversion of a dataset into a sharded beton: the file conversion, once per shard, and an index at the end."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from ffcv_hydra.beton.appendix import fingerprint as fingerprint_of
from ffcv_hydra.beton.appendix import normalise
from ffcv_hydra.beton.data_digest import content_bytes, fields_identity
from ffcv_hydra.beton.fields.options import FieldSpecs
from ffcv_hydra.beton.fields.own_field import OwnField
from ffcv_hydra.beton.layout import CUSTOM_TYPE_ID
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.beton.summary import BetonSummary, describe_fields, tell_of_damage
from ffcv_hydra.beton.writing.part_stream import PartStream, Place, RestOfSource
from ffcv_hydra.beton.writing.partial import Partial
from ffcv_hydra.beton.writing.preparing import Preparation, prepare
from ffcv_hydra.beton.writing.resuming import MAX_WARNINGS, ResumableConversion, progress_bar
from ffcv_hydra.collection.entries import shard_entry
from ffcv_hydra.collection.index import MANIFEST_SUFFIX, Index, ShardEntry, write_index
from ffcv_hydra.collection.limits import ShardLimits
from ffcv_hydra.collection.unfinished import ShardEnd, UnfinishedShards
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
    started = time.perf_counter()
    path = Path(os.path.expanduser(path))
    prepared = prepare(dataset, fields, **options)
    limits = ShardLimits(prepared.source, shards, shard_size)
    fingerprint = _fingerprint(prepared, limits)
    with nullcontext(partial) if partial else Partial.locked(path) as held:
        held.discard()
        unfinished = UnfinishedShards(held.path, fingerprint, resume=resume)
        try:
            writer = _ShardWriter(prepared, limits, fingerprint, unfinished)
            with progress_bar(held.path.name, prepared.source.num_samples, 0, progress) as advance:
                entries = list(writer.write(advance))
            index = _index(unfinished.folder, entries, prepared)
            unfinished.appear()
        finally:
            unfinished.leave()
    warnings = tuple(line for end in unfinished.ends for line in end.warnings)[:MAX_WARNINGS]
    num_warnings = sum(end.num_warnings for end in unfinished.ends)
    summary = BetonSummary(
        path,
        index.kinds,
        index.num_samples,
        index.num_bytes,
        time.perf_counter() - started,
        num_warnings,
        warnings,
        len(index.shards),
    )
    tell_of_damage(summary)
    return summary


class _ShardWriter:
    def __init__(
        self, prepared: Preparation, limits: ShardLimits, fingerprint: bytes | None, unfinished: UnfinishedShards
    ) -> None:
        self._prepared = prepared
        self._limits = limits
        self._fingerprint = fingerprint
        self._unfinished = unfinished

    def write(self, advance: Callable[[int], Any]) -> Iterator[ShardEntry]:
        """Finish all shards, and say what is in each."""
        kept = self._kept()
        number, place, is_last = len(kept), Place(), False
        if kept:
            place, is_last = self._unfinished.ends[number - 1].place, self._unfinished.ends[number - 1].is_last
        for entry in kept:
            advance(entry.num_samples)
            yield entry
        with ExitStack() as stack:
            stream: PartStream | None = None
            while not is_last:
                with self._conversion(number, place, resume=stream is None) as conversion:
                    advance(conversion.num_samples)
                    if stream is None:
                        stream = stack.enter_context(self._stream(number, place, conversion))
                    conversion.write(stream, advance)
                    is_last = not stream.has_more()
                    place = stream.place
                    end = ShardEnd(place, is_last, conversion.num_warnings, conversion.warnings)
                    self._unfinished.note_end(number, end)
                    conversion.finish(self._description(number))
                yield self._entry(number)
                number += 1

    @contextmanager
    def _conversion(self, number: int, place: Place, *, resume: bool) -> Iterator[ResumableConversion]:
        prepared, limit = self._prepared, self._limits[number]
        with Partial.locked(self._unfinished.shard_path(number)) as held:
            rest = RestOfSource(prepared.source, place, limit.num_samples)
            conversion = ResumableConversion(held, rest, prepared.encoder, prepared.page_size, limit)
            conversion.begin(self._fingerprint, resume=resume)
            yield conversion

    def _stream(self, number: int, place: Place, conversion: ResumableConversion) -> Any:
        """The samples that follow those of a shard that begins at `place` and of which a part is there."""
        prepared, ends = self._prepared, self._unfinished.ends
        if conversion.is_full and number < len(ends):
            place = ends[number].place
        elif conversion.num_portions:
            place = Place(place.portion + conversion.num_portions)
        folder = self._unfinished.folder
        return PartStream.opened(prepared.source, prepared.encoder, place, prepared.num_workers, folder)

    def _kept(self) -> list[ShardEntry]:
        """What is in the shards that an earlier conversion has finished, if that is the same as it would be now."""
        entries: list[ShardEntry] = []
        for number in range(len(self._unfinished.ends)):
            try:
                entries.append(self._entry(number))
            except BetonError:  # missing or damaged: made again, and all that come after it
                break
        if all(self._begins_the_same(number) for number in {0, len(entries) - 1} if entries):
            return entries
        logger.warning("%s: the dataset gives other samples now; beginning anew", self._unfinished.folder)
        return []

    def _begins_the_same(self, number: int) -> bool:
        """Whether the samples that a shard begins with are those that the dataset gives; as much as one part has."""
        prepared = self._prepared
        place = self._unfinished.ends[number - 1].place if number else Place()
        rest = RestOfSource(prepared.source, place, None)
        with closing(
            part for portion in range(rest.num_portions) for part in rest.encode(prepared.encoder, portion)
        ) as parts:
            part = next(parts, None)
        beton = Beton(self._unfinished.shard_path(number), _custom_fields(prepared))
        if part is None:
            return False
        tables = part.tables.piece(0, min(part.tables.num_samples, beton.num_samples))
        columns, records = content_bytes(beton), beton.metadata.view(np.uint8).reshape(beton.num_samples, -1)
        if not np.array_equal(records[: tables.num_samples, columns], tables.records[:, columns]):
            return False
        known = [beton.checksums_of(name) for name in beton.fields if beton.extents(name) is not None]
        found = [column[: tables.num_samples] for column in known if column is not None]
        if len(found) < len(known) or len(tables.checksums) != tables.num_samples * len(found):
            return True  # of fields with data at several places only the metadata can be compared
        return not found or np.array_equal(np.stack(found, axis=1).ravel(), tables.checksums)

    def _entry(self, number: int) -> ShardEntry:
        path = self._unfinished.shard_path(number)
        return shard_entry(Beton(path, _custom_fields(self._prepared)), path.name)

    def _description(self, number: int) -> dict[str, Any] | None:
        description = self._prepared.description
        return None if description is None else {**description, "shard": number}


def write_manifest(folder: Path, encoded: bytes) -> str:
    """Write an encoded manifest beside an index; returns its name, which tells it from others."""
    name = f"manifest-{hashlib.sha256(encoded).hexdigest()[:16]}{MANIFEST_SUFFIX}"
    with open(folder / name, "wb") as file:
        file.write(encoded)
        file.flush()
        os.fsync(file.fileno())
    return name


def _index(folder: Path, entries: list[ShardEntry], prepared: Preparation) -> Index:
    """Write the index of finished shards."""
    described = prepared.description
    index = Index(
        tuple(entries),
        fields_identity(Beton(folder / entries[0].file, _custom_fields(prepared))),
        describe_fields(prepared.fields),
        None if described is None else normalise(described),
        None if described is None else fingerprint_of(described),
        write_manifest(folder, prepared.manifest) if prepared.manifest else "",
    )
    write_index(folder, index)
    return index


def _fingerprint(prepared: Preparation, limits: ShardLimits) -> bytes | None:
    if prepared.fingerprint is None:
        return None
    return hashlib.sha256(prepared.fingerprint + repr(limits.identity).encode()).digest()


def _custom_fields(prepared: Preparation) -> dict[str, Any]:
    """The classes of fields that a file does not know by itself."""
    return {
        name: type(field)
        for name, field in prepared.fields.items()
        if not isinstance(field, OwnField) and vars(type(field)).get("type_id", CUSTOM_TYPE_ID) == CUSTOM_TYPE_ID
    }
