"""The bytes of stored samples, from the page cache or read exactly.

With `os_cache` the file is mapped and used in place. Without, what a chunk (or, for FFCV's own operations, a batch)
needs is read with `pread` into a buffer of the caller's.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ffcv_hydra.beton import Beton
from ffcv_hydra.collection.remote_shards import RemoteShards
from ffcv_hydra.collection.shards import Shards
from ffcv_hydra.loader.engine.files import Files
from ffcv_hydra.loader.engine.pages import PageCache
from ffcv_hydra.operations import Extents
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.operations.image_chain import ImageSource, stored_images


class Storage:
    """The open files of one loader; safe to use from several threads."""

    def __init__(self, beton: Beton, os_cache: bool) -> None:
        self.beton = beton
        self.remote = beton.remote if isinstance(beton, Shards) else RemoteShards([])
        self.files = Files(beton.files, os_cache, self.remote.take)
        self.remote.when_closed(self.files.forget)
        self._columns: dict[str, tuple[np.ndarray, np.ndarray] | None] = {}
        self._images: dict[str, ImageSource] = {}
        self._file = self.files.data

    def __reduce__(self) -> tuple[Any, ...]:
        return Storage, (self.beton, self.is_mapped)

    @property
    def is_mapped(self) -> bool:
        """Whether the file is used in place, from the page cache."""
        return self._file is not None

    def check(self, samples: np.ndarray) -> None:
        """Look whether the files that hold `samples`, int64 (N,), are as long as they were.

        Raises:
            BetonError: if one is not, or cannot be used.
        """
        if self.files.is_single:
            self.files.check([0])
        else:
            self.files.check(self.numbers(samples))

    def numbers(self, samples: np.ndarray) -> list[int]:
        """The files that hold `samples`, int64 (N,), each once, in the order of the samples."""
        return list(dict.fromkeys((self.beton.first_ids.searchsorted(samples, side="right") - 1).tolist()))

    def reads(self, field: str) -> bool:
        """Whether the field's data is stored outside the metadata."""
        return self.beton.extents(field) is not None

    def pages_for(self, fields: list[str]) -> PageCache | None:
        """Pages for a pass that reads `fields`; None if the file is mapped.

        Args:
            fields: those that store their data outside the metadata, once for each time they are read.
        """
        if self._file is not None or not fields:
            return None
        columns = [self.beton.extents(field)[0] for field in fields]  # type: ignore[index]

        def offsets(samples: np.ndarray) -> np.ndarray:
            return np.concatenate([column[samples] for column in columns]).astype(np.int64)

        return PageCache(self.files.read_page, self.beton.page_size, offsets)

    def extents(
        self,
        field: str,
        samples: np.ndarray,
        buffer: Callable[[int], np.ndarray],
        pages: PageCache | None = None,
    ) -> Extents:
        """The stored bytes of `samples`.

        Args:
            field: name of a field that stores its data outside the metadata.
            samples: int64 (N,).
            buffer: gives a uint8 array of at least so many bytes; it is used without `os_cache` only.
            pages: to read from, if the pass keeps them.

        Raises:
            BetonError: if the file has another length than it had.
        """
        if field not in self._columns:
            self._columns[field] = self.beton.for_those_who_looked.extents(field)
        known = self._columns[field]
        assert known is not None
        if self._file is not None or self.beton.is_mapped:
            self.check(samples)
        offsets, sizes = (column[samples].astype(np.int64) for column in known)
        stored = self.beton.for_those_who_looked.checksums_of(field)
        checksums = None if stored is None else stored[samples]
        if self._file is not None:
            return Extents(self._file, offsets, sizes, checksums)
        ends = np.cumsum(sizes)
        data = buffer(int(ends[-1]))
        if pages is None:
            self._read(data, offsets, sizes, ends)
        else:
            for offset, size, end in zip(offsets.tolist(), sizes.tolist(), ends.tolist(), strict=True):
                pages.copy(offset, size, data[end - size : end])
        data = data.view()
        data.flags.writeable = False
        return Extents(data, ends - sizes, sizes, checksums)

    def looked_at(
        self, fields: Sequence[str], samples: np.ndarray, scratch: Scratch, pages: PageCache | None = None
    ) -> dict[str, Extents]:
        """By field, the boxes of `samples`, for decoders that look at them; other arguments are those of `extents`."""
        buffers = {field: partial(scratch.buffer, f"boxes {field}") for field in fields}
        return {field: self.extents(field, samples, buffer, pages) for field, buffer in buffers.items()}

    def images(
        self,
        field: str,
        image_bytes: int,
        samples: np.ndarray,
        buffer: Callable[[int], np.ndarray],
        pages: PageCache | None = None,
    ) -> tuple[ImageSource, np.ndarray]:
        """Where images lie that all have `image_bytes`, and which ones of these are `samples`, int64 (N,).

        The other arguments and errors are those of `extents`.
        """
        if self._file is None or self.beton.is_mapped:
            stored = self.extents(field, samples, buffer, pages)
            source = stored_images(stored.data, image_bytes, stored.offsets, stored.checksums)
            return source, np.arange(len(samples))
        self.check(samples)
        if field not in self._images:
            offsets = self.beton.extents(field)[0]  # type: ignore[index]
            self._images[field] = stored_images(self._file, image_bytes, offsets, self.beton.checksums_of(field))
        return self._images[field], samples

    def state(self, fields: list[str], samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What FFCV's operations find a pointer's bytes by: see `loader.plan.batch_code.read_pointer`.

        Args:
            fields: the fields that operations of FFCV read, when the file is not mapped.
            samples: int64 (N,), of one batch.
        """
        beton = self.beton
        if self._file is not None:
            self.files.check(range(len(beton.files)))
            return self._file, beton.pointers, beton.sizes, beton.pointers
        known = [extents[0][samples] for field in fields if (extents := beton.extents(field)) is not None]
        # A field class of the user's may have further data, to which only that class knows the pointers.
        ids, further = beton.further_pointers
        begins, ends = np.searchsorted(ids, samples), np.searchsorted(ids, samples, side="right")
        known += [further[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True) if begin < end]
        pointers = np.unique(np.concatenate(known)) if known else np.empty(0, dtype=np.uint64)
        sizes = beton.sizes[np.searchsorted(beton.pointers, pointers)]  # as `read_pointer` finds them
        ends = np.cumsum(sizes, dtype=np.uint64)
        data = np.empty(int(sizes.sum()), dtype=np.uint8)
        self._read(data, pointers.astype(np.int64), sizes.astype(np.int64), ends.astype(np.int64))
        return _read_only(data), pointers, sizes, ends - sizes

    def _read(self, data: np.ndarray, offsets: np.ndarray, sizes: np.ndarray, ends: np.ndarray) -> None:
        for offset, size, end in zip(offsets.tolist(), sizes.tolist(), ends.tolist(), strict=True):
            self.files.read(offset, data[end - size : end])


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
