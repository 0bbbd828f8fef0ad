"""One conversion, from what an interrupted one has finished to the whole file."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import numpy as np
from tqdm import tqdm

from ffcv_hydra.beton import layout
from ffcv_hydra.beton.tables import Tables
from ffcv_hydra.beton.writing.beton_file import BetonFile
from ffcv_hydra.beton.writing.encoding import Part, SampleEncoder
from ffcv_hydra.beton.writing.journal import Entry
from ffcv_hydra.beton.writing.partial import Partial
from ffcv_hydra.beton.writing.source import PortionEnd, Source, encode_serially
from ffcv_hydra.beton.writing.worker_pool import WorkerPool
from ffcv_hydra.errors import ConversionError

MAX_WARNINGS = 5  # that are told

logger = logging.getLogger(__name__)


class _ProgressBar(tqdm):
    """tqdm's lock is shared by forked processes: one that is killed while it holds it stops all others for good."""

    _lock = threading.RLock()


class ResumableConversion:
    """Fills a partial file portion by portion.

    Args:
        partial: The file.
        source: What is converted.
        encoder: Encodes the samples.
        page_size: Bytes.

    Attributes:
        num_samples: Samples that are in the file.
        num_warnings: How many of them are damaged.
        warnings: What there is to tell of the first of these, a line each.
    """

    def __init__(self, partial: Partial, source: Source, encoder: SampleEncoder, page_size: int) -> None:
        self._partial = partial
        self._source = source
        self._encoder = encoder
        self._page_size = page_size
        self._num_portions = 0
        self._is_moved = False
        self.num_warnings = 0
        self.warnings: tuple[str, ...] = ()

    @property
    def num_samples(self) -> int:
        return self._beton.num_samples

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
            self._note_warnings(entry.tables)
        self._num_portions = min(entries[-1].num_portions, self._source.num_portions)
        self._is_moved = entries[-1].num_portions > self._source.num_portions
        if not self._is_moved:
            self._beton.cut()  # portions that were not finished
        total = "" if self._source.num_samples is None else f" of {self._source.num_samples}"
        logger.info("%s: %d%s samples are there; going on", self._partial.path, self._beton.num_samples, total)

    def write_portions(self, num_workers: int, progress: bool | None) -> None:
        """Encode and write all that is not there yet; when this fails, what was finished is brought to the disk."""
        num_workers = min(num_workers, self._source.num_portions - self._num_portions)
        try:
            if num_workers <= 0 or self._source.is_sequential:
                self._write(encode_serially(self._source, self._encoder, self._num_portions), progress)
                return
            with WorkerPool(self._encoder, self._source, num_workers, self._partial.path.parent) as pool:
                self._write(pool.encode(self._num_portions), progress)
        except OSError:
            raise
        except BaseException:
            self._partial.commit()
            raise

    def finish(self, description: Mapping[str, Any] | None, manifest: bytes = b"") -> int:
        """Make the file whole and let it appear; returns its size in bytes."""
        if self.num_samples == 0:
            raise ConversionError("the dataset is empty; a beton needs at least one sample")
        self._partial.commit()
        # Before anything is written over data, a copy of them is on the disk and the journal says so.
        if self._beton.make_room(copy=not self._is_moved) and not self._is_moved:
            self._partial.note_moved()
        tables = (entry.tables for entry in self._partial.entries())
        num_bytes = self._beton.finish(tables, description, manifest)
        self._partial.appear()
        return num_bytes

    def _new_beton(self) -> BetonFile:
        return BetonFile(self._partial.file, self._encoder, self._page_size, self._source.num_samples)

    def _write(self, parts: Iterator[Part | PortionEnd], progress: bool | None) -> None:
        hide = None if progress is None else not progress  # None: hide where stderr is no terminal
        bar = _ProgressBar(
            total=self._source.num_samples,
            initial=self.num_samples,
            desc=self._partial.path.name,
            unit=" samples",
            dynamic_ncols=True,
            disable=hide,
        )
        portion, position = self._num_portions, 0
        with bar:
            for part in parts:
                if isinstance(part, PortionEnd):
                    self._partial.end_portion()
                    portion, position = portion + 1, 0
                    continue
                self._check_sizes(part.tables, portion, position)
                self._beton.add(part)
                self._partial.add(part.tables)
                self._note_warnings(part.tables)
                position += part.tables.num_samples
                bar.update(part.tables.num_samples)

    def _note_warnings(self, tables: Tables) -> None:
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
            if part is None or not part.tables.begins(entry.tables):
                return "the dataset gives other samples now"
        return None
