"""The open files of one loader: one range of addresses, bytes read at an offset, and whether they are as long as ever.

Knows files by number and what lies where; nothing of samples.
"""

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np

from ffcv_hydra.beton.reading.exact_reading import read_at
from ffcv_hydra.beton.reading.mapping import map_into, reserved, unmap
from ffcv_hydra.beton.stored_file import StoredFile
from ffcv_hydra.errors import BetonError

HELD_OPEN = 256  # files of this process, besides those that are read by themselves; others are opened for each look
_may_be_held = deque([None] * HELD_OPEN)  # one for each; no lock, since finalizers give them back
_CHANGED = "the file was changed while it was open; restore it, or convert it again"


class Files:
    """Safe to use from several threads. A file is opened, or mapped, when it is first needed.

    Args:
        stored: by ascending start.
        is_mapped: whether to map them.
        take: called with the number of a file before that is opened.

    Attributes:
        data: uint8: all bytes by their offsets, from the page cache, for as long as the array is there; those of a file
            from when it was checked on. None if they are not mapped.

    Raises:
        BetonError: if the one file that there is cannot be opened, or there are no addresses for all.
    """

    def __init__(
        self, stored: Sequence[StoredFile], is_mapped: bool, take: Callable[[int], None] = lambda number: None
    ) -> None:
        self._stored, self._take = stored, take
        self._names = [os.fspath(file.path) for file in stored]
        self._sizes = [file.num_bytes for file in stored]
        self._starts = np.array([file.start for file in stored], dtype=np.int64)
        self._process, self._lock = os.getpid(), threading.Lock()
        self._held: dict[int, int] = {}
        self._ready: set[int] = set()
        self.data: np.ndarray | None = None
        self.is_single = len(stored) == 1
        if is_mapped:
            num_bytes = stored[-1].start + stored[-1].num_bytes
            try:
                self.data = reserved(num_bytes)
            except OSError:  # a limit, as by `ulimit -v`
                raise BetonError(
                    f"{stored[0].path}{' and further files' * (len(stored) > 1)}: there are no {num_bytes:,} bytes of"
                    " addresses to map them to: raise the limit of this process, or use os_cache=false"
                ) from None
        if self.is_single:
            self.check([0])

    def close(self) -> None:
        """Close the files; a second call does nothing."""
        held, self._held = self._held, {}
        for descriptor in held.values():
            self._let_go(descriptor)

    def _may_hold(self) -> bool:
        with suppress(IndexError):
            _may_be_held.pop()
            return True
        return False

    def _let_go(self, descriptor: int) -> None:
        os.close(descriptor)
        if not self.is_single:
            _may_be_held.append(None)

    def __del__(self) -> None:
        self.close()

    def _begin(self, number: int) -> None:
        """Open a file, and map it."""
        self._take(number)
        file = self._stored[number]
        if self._process != os.getpid():  # a thread of the parent's may have held it
            self._lock, self._process = (
                threading.Lock(),
                os.getpid(),
            )  # in this order: whoever sees the id takes the lock
        with self._lock:
            if number in self._ready:
                return
            with _blaming(file):
                descriptor = os.open(file.path, os.O_RDONLY)
                try:
                    if os.fstat(descriptor).st_size != file.num_bytes:
                        raise BetonError(f"{file.path}: {_CHANGED}")
                    if self.data is not None:
                        map_into(self.data, file.start, file.num_bytes, descriptor)
                    if self.is_single or self._may_hold():
                        self._held[number] = descriptor
                except MemoryError:
                    raise BetonError(
                        f"{file.path}: file {len(self._ready) + 1} of {len(self._stored)} is one more than this system"
                        " maps at a time (vm.max_map_count): use os_cache=false"
                    ) from None
                finally:
                    if number not in self._held:
                        os.close(descriptor)
            self._ready.add(number)

    def forget(self, number: int) -> None:
        """Close a file, of which nobody reads anything; it is opened again when it is needed next."""
        with self._lock:
            if number not in self._ready:
                return
            self._ready.discard(number)
            if (descriptor := self._held.pop(number, None)) is not None:
                self._let_go(descriptor)
            if self.data is not None:
                unmap(self.data, self._stored[number].start, self._stored[number].num_bytes)

    def check(self, numbers: Iterable[int]) -> None:
        """Look whether some of the files are as long as they were.

        Reading a mapped file beyond its end kills the process. The look takes less than a microsecond for a file, and
        comes before each chunk: only what is cut while a chunk is read ends in SIGBUS.

        Raises:
            BetonError: if one is not, or cannot be opened.
        """
        ready, held, sizes = self._ready, self._held, self._sizes
        number = 0
        try:
            for number in numbers:
                if number not in ready:
                    self._begin(number)
                # of a file that is open a quarter of what `stat` costs; no read is by position
                is_held = number in held
                size = os.lseek(held[number], 0, os.SEEK_END) if is_held else os.stat(self._names[number]).st_size
                if size != sizes[number]:
                    raise BetonError(f"{self._stored[number].path}: {_CHANGED}")
        except OSError as error:
            raise _unreadable(self._stored[number], error) from error

    def check_begun(self) -> None:
        """As `check`, of the files that were needed so far."""
        self.check(list(self._ready))

    def read(self, offset: int, target: np.ndarray) -> None:
        """Fill `target`, uint8, with the bytes from `offset` on, which lie in one file.

        Raises:
            BetonError: if the file ends before, or cannot be read.
        """
        number = int(np.searchsorted(self._starts, offset, side="right")) - 1
        file = self._stored[number]
        with _blaming(file), self._descriptor(number) as descriptor:
            count = read_at(descriptor, offset - file.start, target)
        if count < len(target):
            end = offset - file.start + len(target)
            raise BetonError(f"{file.path}: the file ends before byte {end}; it was cut short")

    def read_page(self, offset: int, page_size: int) -> np.ndarray:
        """uint8: a page of a file, or what that has of it. Raises as `read`."""
        file = self._stored[int(np.searchsorted(self._starts, offset, side="right")) - 1]
        page = np.empty(min(page_size, file.start + file.num_bytes - offset), dtype=np.uint8)
        self.read(offset, page)
        return page

    @contextmanager
    def _descriptor(self, number: int) -> Iterator[int]:
        if number not in self._ready:
            self._begin(number)
        if number in self._held:
            yield self._held[number]
            return
        file = self._stored[number]
        descriptor = os.open(file.path, os.O_RDONLY)
        try:
            if os.fstat(descriptor).st_size != file.num_bytes:
                raise BetonError(f"{file.path}: {_CHANGED}")
            yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def _blaming(file: StoredFile) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: StoredFile, error: OSError) -> BetonError:
    advice = "; raise its limit (ulimit -n)" if error.errno == errno.EMFILE else ""
    return BetonError(f"{file.path}: cannot be read: {error.strerror or error}{advice}")
