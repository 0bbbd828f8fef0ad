"""A source's encoded samples from any place on, of which one file after another takes its share."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ffcv_hydra.beton.writing.encoding import Part, SampleEncoder
from ffcv_hydra.beton.writing.source import Place, PortionEnd, Source, encode_serially
from ffcv_hydra.beton.writing.worker_pool import WorkerPool


class RestOfSource:
    """A source without what comes before a place: its portions are counted from there.

    A portion is encoded from its beginning even if only its end is wanted, so that what is drawn for a sample does not
    depend on where files end.

    Args:
        source: The source.
        place: Where the rest begins.
        num_samples: How many are wanted; None if that shows only at the end.
    """

    def __init__(self, source: Source, place: Place, num_samples: int | None) -> None:
        self.num_portions = source.num_portions - place.portion
        self.num_samples = num_samples
        self.is_sequential = source.is_sequential
        self.identity = source.identity
        self.dataset = source.dataset
        self.order = source.order
        self._source = source
        self._place = place

    def first(self) -> tuple[Any, Any]:
        return self._source.first()

    def encode(self, encoder: SampleEncoder, portion: int) -> Iterator[Part]:
        parts = self._source.encode(encoder, self._place.portion + portion)
        yield from (part for part in _without_first(parts, self._skipped(portion)) if isinstance(part, Part))

    def label(self, portion: int, position: int) -> str:
        return self._source.label(self._place.portion + portion, self._skipped(portion) + position)

    def label_rest(self, portion: int, position: int) -> str:
        return self._source.label_rest(self._place.portion + portion, self._skipped(portion) + position)

    def _skipped(self, portion: int) -> int:
        return self._place.sample if portion == 0 else 0


class PartStream:
    """The parts of a source from a place on, a `PortionEnd` behind each portion; `opened` makes one.

    Attributes:
        place: Where the next sample is.
    """

    def __init__(self, parts: Iterator[Part | PortionEnd], place: Place) -> None:
        self.place = place
        self._parts = _without_first(parts, place.sample)
        self._waiting: deque[Part] = deque()

    @staticmethod
    @contextmanager
    def opened(
        source: Source,
        encoder: SampleEncoder,
        place: Place,
        num_workers: int,
        spool_directory: Path,
        stop: int | None = None,
    ) -> Iterator[PartStream]:
        """Encode in processes, which end with the block; in this one if `num_workers` is 0 or the source wants it.

        Portions from `stop` on are left alone; None: there is no end but the source's.
        """
        portions = range(place.portion, source.num_portions if stop is None else stop)
        num_workers = min(num_workers, len(portions))
        if num_workers <= 0 or source.is_sequential:
            yield PartStream(encode_serially(source, encoder, portions), place)
            return
        with WorkerPool(encoder, source, num_workers, spool_directory) as pool:
            yield PartStream(pool.encode(portions), place)

    def __iter__(self) -> Iterator[Part | PortionEnd]:
        return self

    def __next__(self) -> Part | PortionEnd:
        part = self._waiting.popleft() if self._waiting else next(self._parts)
        if isinstance(part, PortionEnd):
            self.place = Place(self.place.portion + 1)
        else:
            self.place = Place(self.place.portion, self.place.sample + part.tables.num_samples)
        return part

    def put_back(self, part: Part) -> None:
        """Let `part`, the end of the last one, come next."""
        self._waiting.appendleft(part)
        self.place = Place(self.place.portion, self.place.sample - part.tables.num_samples)

    def has_more(self) -> bool:
        """Whether there are further samples; skips the ends of portions before them."""
        for part in self:
            if isinstance(part, Part):
                self.put_back(part)
                return True
        return False


def _without_first(parts: Iterator[Part] | Iterator[Part | PortionEnd], count: int) -> Iterator[Part | PortionEnd]:
    for part in parts:
        if count and isinstance(part, Part):
            skipped = min(count, part.tables.num_samples)
            count -= skipped
            if skipped == part.tables.num_samples:
                continue
            part = part.piece(skipped, part.tables.num_samples)
        yield part
