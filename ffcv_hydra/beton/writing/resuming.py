"""One conversion, from what an interrupted one has finished to the whole file."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
from tqdm import tqdm

from ffcv_hydra.beton import layout
from ffcv_hydra.beton.tables import Tables
from ffcv_hydra.beton.writing.beton_file import BetonFile
from ffcv_hydra.beton.writing.encoding import SampleEncoder
from ffcv_hydra.beton.writing.journal import Entry
from ffcv_hydra.beton.writing.limit import Limit, bytes_of
from ffcv_hydra.beton.writing.part_stream import PartStream
from ffcv_hydra.beton.writing.partial import Partial
from ffcv_hydra.beton.writing.source import PortionEnd, Source
from ffcv_hydra.errors import ConversionError

MAX_WARNINGS = 5  # that are told
NO_LIMIT = Limit()

logger = logging.getLogger(__name__)


class _ProgressBar(tqdm):
    """tqdm's lock is shared by forked processes: one that is killed while it holds it stops all others for good."""

    _lock = threading.RLock()


@contextmanager
def progress_bar(name: str, total: int | None, initial: int, progress: bool | None) -> Iterator[Callable[[int], Any]]:
    """A bar of samples on stderr; what is given is called with how many more are done.

    Args:
        name: What is converted.
        total: Samples; None if that is not known yet.
        initial: Samples that are there already.
        progress: Whether to show it. None: if stderr is a terminal.
    """
    hide = None if progress is None else not progress
    with _ProgressBar(
        total=total, initial=initial, desc=name, unit=" samples", dynamic_ncols=True, disable=hide
    ) as bar:
        yield bar.update


class ResumableConversion:
    """Fills a partial file portion by portion.

    Args:
        partial: The file.
        source: What is converted.
        encoder: Encodes the samples.
        page_size: Bytes.
        limit: Where the file ends though the source goes on.

    Attributes:
        num_portions: Portions that were finished when it began.
        num_warnings: How many samples of the file are damaged.
        warnings: What there is to tell of the first of these, a line each.
    """

    def __init__(
        self, partial: Partial, source: Source, encoder: SampleEncoder, page_size: int, limit: Limit = NO_LIMIT
    ) -> None:
        self._partial = partial
        self._source = source
        self._encoder = encoder
        self._page_size = page_size
        self._limit = limit
        self._num_content_bytes = 0
        self._is_moved = False
        self.num_portions = 0
        self.num_warnings = 0
        self.warnings: tuple[str, ...] = ()

    @property
    def num_samples(self) -> int:
        """Samples that are in the file."""
        return self._beton.num_samples

    @property
    def is_full(self) -> bool:
        """Whether the file has reached its limit."""
        return self._limit.is_reached(self.num_samples, self._num_content_bytes)

    def begin(self, fingerprint: bytes | None, *, resume: bool) -> None:
        """Open the file and take over what is finished in it, if that is the same as it would be now."""
        entries = self._partial.open(fingerprint, self._encoder.dtype.itemsize, resume=resume)
        self._beton = self._new_beton()
        if not entries:
            return
        for entry in entries:
            self._beton.place(entry.tables)
        reason = self._difference(entries)
        if reason is not None:
            self._partial.begin_anew(reason)
            self._beton = self._new_beton()
            return
        for entry in entries:
            self._note(entry.tables)
        self._is_moved = entries[-1].tables.num_samples == 0
        self.num_portions = entries[-1].num_portions - self._is_moved
        if not self._is_moved:
            self._beton.cut()  # portions that were not finished
        total = "" if self._source.num_samples is None else f" of {self._source.num_samples}"
        logger.info("%s: %d%s samples are there; going on", self._partial.path, self._beton.num_samples, total)

    def write(self, parts: PartStream, advance: Callable[[int], Any]) -> None:
        """Write what is not there yet; when this fails, what was finished is brought to the disk.

        Args:
            parts: The samples that follow those which are there. What the file has no room for stays in it.
            advance: Is told how many samples were written.
        """
        try:
            portion, position = self.num_portions, 0
            while not self.is_full and (part := next(parts, None)) is not None:
                if isinstance(part, PortionEnd):
                    self._partial.end_portion()
                    portion, position = portion + 1, 0
                    continue
                count = part.tables.num_samples
                share = self._limit.share(self.num_samples, self._num_content_bytes, part.tables)
                if share < count:
                    parts.put_back(part.piece(share, count))
                    part = part.piece(0, share)
                self._check_sizes(part.tables, portion, position)
                self._beton.add(part)
                self._partial.add(part.tables)
                self._note(part.tables)
                position += share
                advance(share)
        except OSError:
            raise
        except BaseException:
            self._partial.commit()
            raise

    def finish(self, description: Mapping[str, Any] | None, manifest: bytes = b"") -> int:
        """Make the file whole and let it appear; returns its size in bytes."""
        if self.num_samples == 0:
            raise ConversionError("the dataset is empty; a beton needs at least one sample")
        self._partial.end_last_portion()
        # Before anything is written over data, a copy of them is on the disk and the journal says so.
        if self._beton.make_room(copy=not self._is_moved) and not self._is_moved:
            self._partial.note_moved()
        tables = (entry.tables for entry in self._partial.entries())
        num_bytes = self._beton.finish(tables, description, manifest)
        self._partial.appear()
        return num_bytes

    def _new_beton(self) -> BetonFile:
        return BetonFile(self._partial.file, self._encoder, self._page_size, self._source.num_samples)

    def _note(self, tables: Tables) -> None:
        if self._limit.num_bytes is not None:
            self._num_content_bytes += int(bytes_of(tables).sum())
        self.num_warnings += len(tables.warnings)
        self.warnings += tables.warnings[: MAX_WARNINGS - len(self.warnings)]

    def _check_sizes(self, tables: Tables, portion: int, position: int) -> None:
        too_large = np.flatnonzero(tables.sizes > self._page_size)
        if too_large.size:
            allocation = too_large[0]
            location = int(tables.locations[allocation])
            sample = self._source.label(portion, position + location // self._encoder.dtype.itemsize)
            where = f"sample {sample}, field {self._encoder.owner(location)!r}"
            raise layout.too_large(where, int(tables.sizes[allocation]), self._page_size)

    def _difference(self, entries: list[Entry]) -> str | None:
        """Why one cannot go on from what is there; None if one can.

        The fingerprint cannot see everything, such as the files that a dataset reads and its code.
        """
        if self._partial.num_bytes() < self._beton.end:
            return "it was cut short"
        begins = [0, *(entry.num_portions for entry in entries[:-1])]
        for number in {0, len(entries) - 1}:
            entry = entries[number]
            if entry.tables.num_samples == 0:
                continue
            portions = range(begins[number], entry.num_portions)  # the first ones may be empty shards
            with closing(part for portion in portions for part in self._source.encode(self._encoder, portion)) as parts:
                part = next(parts, None)
            # The file may have ended within the part.
            if part is None or not part.tables.piece(0, entry.tables.num_samples).begins(entry.tables):
                return "the dataset gives other samples now"
        return None
