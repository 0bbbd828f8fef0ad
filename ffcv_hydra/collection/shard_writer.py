"""Shards of a conversion, one after another: those that are missing are made, those that are there are looked at."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import numpy as np

from ffcv_hydra.beton.data_digest import content_bytes
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.own_field import OwnField
from ffcv_hydra.beton.layout import CUSTOM_TYPE_ID
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.beton.writing.part_stream import PartStream, RestOfSource
from ffcv_hydra.beton.writing.partial import Partial
from ffcv_hydra.beton.writing.preparing import Preparation
from ffcv_hydra.beton.writing.resuming import ResumableConversion
from ffcv_hydra.beton.writing.source import Place
from ffcv_hydra.collection.entries import shard_entry
from ffcv_hydra.collection.index import ShardEntry
from ffcv_hydra.collection.limits import ShardLimits
from ffcv_hydra.collection.unfinished import ShardEnd, UnfinishedShards
from ffcv_hydra.errors import BetonError

logger = logging.getLogger(__name__)


class ShardWriter:
    """Writes shards, each as a beton.

    Args:
        prepared: What is converted.
        limits: How it is cut.
        fingerprint: Of the conversion; None: nothing can be gone on with.
        unfinished: Where the shards are.
        shared: Whether other processes make some of them.
    """

    def __init__(
        self,
        prepared: Preparation,
        limits: ShardLimits,
        fingerprint: bytes | None,
        unfinished: UnfinishedShards,
        *,
        shared: bool = False,
    ) -> None:
        self._prepared = prepared
        self._limits = limits
        self._fingerprint = fingerprint
        self._unfinished = unfinished
        self._locked = Partial.if_free if shared else Partial.locked

    def write(self, numbers: range, advance: Callable[[int], Any]) -> Iterator[int]:
        """Make those shards that are missing and that no other process makes; gives the number of each.

        Args:
            numbers: Of consecutive shards; those behind the last one there is are left out.
            advance: Is told how many samples were written.
        """
        unfinished, stop = self._unfinished, self._limits.place(numbers.stop)
        stop_portion = None if stop is None else stop.portion + (stop.sample > 0)
        stream, next_of_stream = None, None
        with ExitStack() as stack:
            for number in numbers:
                if (place := self._place(number)) is None:
                    return
                with self._conversion(number, place) as conversion:
                    if conversion is None:
                        continue
                    advance(conversion.num_samples)
                    end = unfinished.end(number) if conversion.is_full else None
                    if end is None:
                        if stream is None or number != next_of_stream or conversion.num_samples:
                            stack.close()
                            if conversion.num_portions:
                                place = Place(place.portion + conversion.num_portions)
                            stream = stack.enter_context(self._stream(place, stop_portion))
                        else:
                            stream.has_more()  # skips the end of a portion that belongs to the shard before
                        conversion.write(stream, advance)
                        next_of_stream = number + 1
                        end = self._end(number, stream, conversion)
                        unfinished.note_end(number, end)
                    conversion.finish(self._description(number))
                yield number

    def finished(self) -> Iterator[int]:
        """The numbers of the shards that are there."""
        number = 0
        while self._place(number) is not None:
            if self._unfinished.is_finished(number):
                yield number
            number += 1

    def entry(self, number: int) -> ShardEntry:
        """What an index says of a finished shard. Raises `BetonError` if it is damaged."""
        beton = self._beton(number)
        return shard_entry(beton, beton.path.name)

    def kept(self) -> dict[int, ShardEntry]:
        """What is in the finished shards; one that is damaged is removed, to be made again."""
        entries = {}
        for number in self.finished():
            try:
                entries[number] = self.entry(number)
            except BetonError as error:
                logger.warning("%s; it is made again", error)
                self._unfinished.shard_path(number).unlink(missing_ok=True)
        return entries

    def begins_the_same(self, number: int) -> bool:
        """Whether the samples that a shard begins with are those that the dataset gives; as much as one part has."""
        prepared, place = self._prepared, self._place(number)
        assert place is not None
        rest = RestOfSource(prepared.source, place, None)
        with closing(
            part for portion in range(rest.num_portions) for part in rest.encode(prepared.encoder, portion)
        ) as parts:
            part = next(parts, None)
        beton = self._beton(number)
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

    def _place(self, number: int) -> Place | None:
        """Where a shard begins; None: there are not so many."""
        if self._limits.num_shards is not None:
            return self._limits.place(number) if number < self._limits.num_shards else None
        if number == 0:
            return Place()
        end = self._unfinished.end(number - 1)
        return None if end is None or end.is_last else end.place

    @contextmanager
    def _conversion(self, number: int, place: Place) -> Iterator[ResumableConversion | None]:
        """The conversion of a shard, begun; None if the shard is there, or another process makes it."""
        prepared, limit = self._prepared, self._limits[number]
        path = self._unfinished.shard_path(number)
        if self._unfinished.is_finished(number):
            yield None
            return
        with self._locked(path) as held:
            if held is None or self._unfinished.is_finished(number):
                yield None
                return
            rest = RestOfSource(prepared.source, place, limit.num_samples)
            conversion = ResumableConversion(held, rest, prepared.encoder, prepared.page_size, limit)
            conversion.begin(self._fingerprint, resume=True)
            yield conversion

    def _stream(self, place: Place, stop: int | None) -> Any:
        prepared, folder = self._prepared, self._unfinished.folder
        return PartStream.opened(prepared.source, prepared.encoder, place, prepared.num_workers, folder, stop)

    def _end(self, number: int, stream: PartStream, conversion: ResumableConversion) -> ShardEnd:
        place = self._limits.place(number + 1)
        if place is None:
            is_last, place = not stream.has_more(), stream.place
        else:
            is_last = number + 1 == self._limits.num_shards
        return ShardEnd(place, is_last, conversion.num_warnings, conversion.warnings)

    def _beton(self, number: int) -> Beton:
        return Beton(self._unfinished.shard_path(number), custom_fields(self._prepared.fields))

    def _description(self, number: int) -> dict[str, Any] | None:
        description = self._prepared.description
        return None if description is None else {**description, "shard": self._unfinished.first + number}


def custom_fields(fields: Mapping[str, Field]) -> dict[str, Any]:
    """The classes of fields that a file does not know by itself."""
    return {
        name: type(field)
        for name, field in fields.items()
        if not isinstance(field, OwnField) and vars(type(field)).get("type_id", CUSTOM_TYPE_ID) == CUSTOM_TYPE_ID
    }
