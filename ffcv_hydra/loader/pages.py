"""Whole pages of a beton in memory, each from the first sample read from it to the last one of a pass.

For orders that read a page's samples close together (`QuasiRandom`): one long read instead of many short ones, which is
what spinning disks and network file systems want.
"""

import os
import threading

import numpy as np

from ffcv_hydra.errors import BetonError


class _Page:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.data: bytes | None = None


class PageCache:
    """The pages that one pass is in the middle of; safe to use from several threads.

    Args:
        descriptor: of the open file.
        path: for messages.
        page_size: in bytes.
        offsets: int64 (M,), where each piece of data that the pass will read begins, with repetitions.
    """

    def __init__(self, descriptor: int, path: str | os.PathLike[str], page_size: int, offsets: np.ndarray) -> None:
        self._descriptor = descriptor
        self._path = path
        self._page_size = page_size
        self._uses = np.bincount(offsets // page_size)
        self._pages: dict[int, _Page] = {}
        self._lock = threading.Lock()

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
                page.data = os.pread(self._descriptor, self._page_size, number * self._page_size)
        if len(page.data) < begin + size:
            raise BetonError(f"{self._path}: the file ends before byte {offset + size}; it was cut short")
        target[:] = np.frombuffer(page.data, dtype=np.uint8, count=size, offset=begin)
        with self._lock:
            self._uses[number] -= 1
            if self._uses[number] == 0:
                del self._pages[number]

    def __len__(self) -> int:
        """How many pages are in memory."""
        return len(self._pages)
