"""Whole pages of a beton in memory, each from the first sample read from it to the last one that is expected.

For orders that read a page's samples close together (`QuasiRandom`): one long read instead of many short ones, which is
what spinning disks and network file systems want.
"""

import threading
from collections import Counter
from collections.abc import Callable

import numpy as np


class _Page:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.data: np.ndarray | None = None


class PageCache:
    """The pages that one pass is in the middle of; safe to use from several threads.

    Args:
        read: gives the page, uint8, of so many bytes at an offset, or what a file has of it, or raises `BetonError`.
        page_size: in bytes.
        offsets: gives int64 (M,), where each piece of data begins that is read of samples, ids int64 (N,).
    """

    def __init__(
        self,
        read: Callable[[int, int], np.ndarray],
        page_size: int,
        offsets: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        self._read = read
        self._page_size = page_size
        self._offsets = offsets
        self._uses: Counter[int] = Counter()
        self._pages: dict[int, _Page] = {}
        self._lock = threading.Lock()

    def expect(self, samples: np.ndarray) -> None:
        """Keep the pages of these samples, too, int64 (N,), until they were copied."""
        numbers, counts = np.unique(self._offsets(samples) // self._page_size, return_counts=True)
        with self._lock:
            self._uses.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))

    def copy(self, offset: int, size: int, target: np.ndarray) -> None:
        """Copy the bytes [offset, offset + size), which lie in one page, to `target`, uint8 (size,).

        Raises:
            BetonError: if the file ends before.
        """
        number, begin = divmod(offset, self._page_size)
        with self._lock:
            page = self._pages.setdefault(number, _Page())
        with page.lock:
            if page.data is None:
                page.data = self._read(number * self._page_size, self._page_size)
        target[:] = page.data[begin : begin + size]
        with self._lock:
            self._uses[number] -= 1
            if self._uses[number] <= 0:
                del self._pages[number], self._uses[number]

    def __len__(self) -> int:
        """How many pages are in memory."""
        return len(self._pages)
