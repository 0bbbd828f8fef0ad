"""What a pass over batches needs of files that come from URLs: which, in which order, and until when."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Sequence

from ffcv_hydra.collection.data_cache import CachedFile

MOST_BATCHES_AHEAD = 1000
POLL_SECONDS = 0.05

this_thread = threading.local()
"""`walks`: the pass whose next batch a thread finds out."""


class PassNeeds:
    """What a pass needs, as far as it has been walked.

    Attributes:
        first_batch: that is not done.
        next_batch: that is not known.
        stopped: whether it is to end.
        is_over: whether nobody reads anything for it any longer.
        is_walked: whether all its batches are known.
        is_short_of_room: whether there was none for the last file: then the next one is tried alone, lest one that is
            needed later takes its place.
    """

    def __init__(self, batches: Iterator[Iterable[int]], first_batch: int) -> None:
        self.first_batch = first_batch
        self.stopped = self.is_over = self.is_walked = self.is_short_of_room = False
        self._batches = batches
        self.next_batch = first_batch
        self._known: dict[int, int] = {}  # the last batch that needs each file
        self._begun: dict[int, int] = {}  # of those that are begun
        self._order: dict[int, int] = {}
        self._files: list[tuple[int, int]] = []  # a heap, by the order of need
        self._queued: set[int] = set()
        self._count = itertools.count()
        self._lock = threading.Lock()

    def stop(self) -> None:
        """End what is done for it; for finalizers too."""
        self.stopped = True

    def needs(self, number: int, now: bool) -> bool:
        """Whether a batch that is not done reads a file; with `now`, one that is begun."""
        return (self._begun if now else self._known).get(number, -1) >= self.first_batch

    def note(self, batch: int, numbers: Iterable[int], is_begun: bool = False) -> None:
        """Take note of what a batch reads."""
        for known in (self._known, self._begun)[: 1 + is_begun]:
            for number in numbers:
                known[number] = max(batch, known.get(number, batch))

    def walk(self, wanted: dict[int, CachedFile]) -> bool:
        """Look at one batch more; False if there is none, or it is too far ahead."""
        with self._lock:
            if self.is_walked or self.next_batch > self.first_batch + MOST_BATCHES_AHEAD:
                return False
            this_thread.walks = self
            try:
                numbers = next(self._batches, None)
            except Exception:  # met again by whoever makes the batch
                numbers = None
            finally:
                this_thread.walks = None
            if numbers is None:
                self.is_walked = True
                return False
            self.note(self.next_batch, numbers)
            self.next_batch += 1
            for number in numbers:
                if number in wanted and number not in self._queued:
                    self._queued.add(number)
                    self._order[number] = next(self._count)
                    self.put_back(number)
        return True

    def put_back(self, number: int) -> None:
        """Have a file fetched when its turn comes."""
        self._queued.add(number)
        heapq.heappush(self._files, (self._order[number], number))

    def next_file(self) -> int | None:
        """The file that is needed next, of those that are known."""
        if not self._files:
            return None
        number = heapq.heappop(self._files)[1]
        self._queued.discard(number)
        return number

    def has_files(self) -> bool:
        """Whether there is one."""
        return bool(self._files)


class Stop:
    """Set once all of some passes are stopped; never, if there are none."""

    def __init__(self, passes: Sequence[PassNeeds]) -> None:
        self._passes = [found for found in passes if not found.stopped]

    def is_set(self) -> bool:
        return bool(self._passes) and all(found.stopped for found in self._passes)

    def wait(self, timeout: float | None = None) -> bool:
        deadline = time.monotonic() + (timeout or 0)
        while not self.is_set() and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, POLL_SECONDS))
        return self.is_set()
