"""Columns of the tables of several files: rows of some samples, the least and largest of all, or an array of all."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ffcv_hydra.beton.allocations import read_only
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.collection.index import AGAIN
from ffcv_hydra.errors import BetonError
from ffcv_hydra.kernels.memory.rows import ALL_THERE, UNKNOWN_ROW, gather_rows

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 1 << 16
TOLD_BYTES = 1 << 28  # an array of more is worth a word

Extremes = Mapping[str, tuple[int, int]]


class Column(np.lib.mixins.NDArrayOperatorsMixin):
    """Stands for an array with a row for each sample of several files, which are opened when a row of theirs is needed.

    `column[samples]`, ids as int64 (N,), gives their rows, and `column["height"]` a column of the column. `min` and
    `max` open no file, where its index tells them. Whatever else is done to arrays, is done to the array of all rows,
    which is made then: `numpy.asarray(column)`. Safe to use from several threads.

    Args:
        files: gives one of them, open.
        first_ids: int64 (num_files + 1,), the id of the first sample of each, and the number of all.
        part: gives the column of one, (num_samples,).
        like: the column of any of them.
        starts: int64 (num_files,), where each file begins in the space that pointers count in.
        pointer: the name of the column of the column that holds pointers; empty if it does itself; None: none.
        extremes: of each file, the least and the largest of its columns, as far as they are known.
        key: of this column there.
        need: where files may be closed again: told which are needed, before each is opened. None: where not.
        look: raises `BetonError` unless some files, which are open, are as long as they were: reading rows of one that
            was cut would end the process. None: whoever reads them has looked.
    """

    def __init__(
        self,
        files: Callable[[int], Beton],
        first_ids: np.ndarray,
        part: Callable[[Beton], np.ndarray],
        like: np.ndarray,
        starts: np.ndarray,
        pointer: str | None,
        extremes: Sequence[Extremes],
        key: str,
        need: Callable[[list[int]], None] | None,
        look: Callable[[Iterable[int]], None] | None,
    ) -> None:
        self._files, self._first_ids, self._part, self._starts = files, first_ids, part, starts
        self._need, self._look = need, look
        self._like, self._pointer, self._all_extremes, self._key = like[:0].copy(), pointer, extremes, key
        self.dtype, self.shape = like.dtype, (int(first_ids[-1]), *like.shape[1:])
        self.ndim = like.ndim
        self._row_bytes = like[:0].dtype.itemsize * int(np.prod(like.shape[1:], dtype=np.int64))
        self._addresses, self._strides = (np.zeros(len(starts), dtype=np.int64) for _ in range(2))
        self._pointer_at = -1
        if pointer is not None:
            self._pointer_at = int(like.dtype.fields[pointer][1]) if pointer else 0  # type: ignore[index]
        self._parts: dict[int, np.ndarray] = {}  # whose addresses are known
        self._columns: dict[str, Column] = {}

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Of the array of all rows."""
        return len(self) * self._row_bytes

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, np.ndarray) and which.dtype == np.int64 and which.ndim == 1:  # as all batches do
            return self._rows(which)
        if isinstance(which, str):
            return self._column(which)
        if isinstance(which, slice):
            return self._rows(np.arange(*which.indices(len(self))))
        rows = np.asarray(which)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        found = self._rows(rows.reshape(-1).astype(np.int64))
        return found if rows.ndim == 1 else found.reshape((*rows.shape, *self.shape[1:]))[()]

    def _rows(self, rows: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(rows)
        target = np.empty((len(rows), self._row_bytes), dtype=np.uint8)
        addresses, strides, held = self._addresses, self._strides, None
        if self._need is not None:  # of the cache, where nobody cuts a file
            addresses, strides, held = self._held(rows)
        elif self._look is not None:
            numbers = set((self._first_ids.searchsorted(rows, side="right") - 1).tolist())
            self._look(numbers & self._parts.keys())
        places = self._starts, self._pointer_at, rows, target
        while (missing := gather_rows(self._first_ids, addresses, strides, *places)) != ALL_THERE:
            if missing == UNKNOWN_ROW:
                raise IndexError(f"{self._key}: of {len(self)} samples, some of {rows} are none")
            self._find(missing)
        del held  # not before
        return target.reshape(-1).view(self.dtype).reshape(len(rows), *self.shape[1:])

    def _held(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[int, np.ndarray]]:
        """Addresses and strides of the files that some rows are in, and what keeps these from being closed."""
        assert self._need is not None
        numbers = np.unique(self._first_ids.searchsorted(rows, side="right") - 1).tolist()
        numbers = [number for number in numbers if 0 <= number < len(self._addresses)]
        self._need(numbers)
        held, addresses, strides = {}, np.zeros_like(self._addresses), np.zeros_like(self._strides)
        for number in numbers:
            part = self._parts.get(number)
            held[number] = part = self._find(number) if part is None else part
            addresses[number], strides[number] = part.ctypes.data, part.strides[0]
        return addresses, strides, held

    def _find(self, number: int) -> np.ndarray:
        """The column of one file, which is kept there."""
        part = self._parts.setdefault(number, self._part(self._files(number)))  # one array, if two threads need it
        if self._look is not None:  # another column may have had it opened long ago
            self._look([number])
        self._strides[number] = part.strides[0]
        self._addresses[number] = part.ctypes.data  # last: whoever sees it goes there
        return part

    def for_those_who_looked(self) -> Column:
        """The same column, which does not look at files before it reads rows of them."""
        other = copy.copy(self)
        other._look = None
        return other

    def forget(self, number: int) -> None:
        """Ask for one of the files again when a row of it is needed next."""
        self._addresses[number] = 0
        self._parts.pop(number, None)
        for column in list(self._columns.values()):
            column.forget(number)

    def _column(self, name: str) -> Column:
        if name not in self._columns:
            pointer = "" if name == self._pointer else None
            args = self._files, self._first_ids, lambda beton: self._part(beton)[name], self._like[name], self._starts
            self._columns[name] = Column(
                *args, pointer, self._all_extremes, f"{self._key}.{name}", self._need, self._look
            )
        return self._columns[name]

    @cached_property
    def _extremes(self) -> tuple[Any, Any]:
        lows, highs = [], []
        for number, known in enumerate(self._all_extremes):
            if self._key in known:
                low, high = known[self._key]
            else:
                part = self._find(number)
                low, high = part.min(), part.max()
            lows.append(low)
            highs.append(high)
        try:
            return self.dtype.type(min(lows)), self.dtype.type(max(highs))
        except OverflowError as error:
            raise BetonError(
                f"an index says that {self._key} goes from {min(lows)} to {max(highs)}; {AGAIN}"
            ) from error

    def min(self, initial: Any = None) -> Any:
        """The least of all rows."""
        return self._extremes[0] if initial is None else min(self._extremes[0], self.dtype.type(initial))

    def max(self, initial: Any = None) -> Any:
        """The largest of all rows."""
        return self._extremes[1] if initial is None else max(self._extremes[1], self.dtype.type(initial))

    @cached_property
    def _whole(self) -> np.ndarray:
        if self.nbytes > TOLD_BYTES:
            logger.warning("%s of all %s samples is read into memory: %s bytes", self._key, len(self), self.nbytes)
        found = np.empty(self.shape, dtype=self.dtype)
        for start in range(0, len(self), ROWS_AT_ONCE):
            found[start : start + ROWS_AT_ONCE] = self[start : start + ROWS_AT_ONCE]
        return read_only(found)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = self._whole if dtype is None else self._whole.astype(dtype, copy=False)
        return found.copy() if copy else found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._whole, name)

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = [np.asarray(value) if isinstance(value, Column) else value for value in inputs]
        return getattr(function, method)(*arrays, **options)
