"""Shards that come from URLs while others are read: in the order of need, by several connections, within the limit.

A pass says which files each of its batches reads (`ahead`). Threads walk on from there and download what is not here,
until the cache is full of what is needed sooner. What no batch needs, of those under way and found so far, is closed
then, and may be evicted. Whoever needs a file that did not come meanwhile downloads it itself, and meets what is wrong.
"""

from __future__ import annotations

import gc
import itertools
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from ffcv_hydra.collection.cache_locks import Uses
from ffcv_hydra.collection.cache_room import NoRoom, cache_limit
from ffcv_hydra.collection.data_cache import CachedFile
from ffcv_hydra.collection.pass_needs import POLL_SECONDS, PassNeeds, Stop, this_thread
from ffcv_hydra.collection.remote_file import Stopped
from ffcv_hydra.errors import RemoteError

CONNECTIONS = 4
ROOM_SECONDS = 60.0  # that whoever needs a file waits for others to let go of theirs
TOLD_SECONDS = 30.0  # between two words on how far it is
_BATCHES_LOOKED_AT = 200  # to tell what an order costs

logger = logging.getLogger(__name__)


class RemoteShards:
    """The files of one collection, some of which come from URLs. Safe to use from several threads.

    Args:
        files: by number; None for those that are on this machine anyhow.

    """

    def __init__(self, files: Sequence[CachedFile | None]) -> None:
        self._files = dict(enumerate(files))
        self._remote = {number: file for number, file in self._files.items() if file is not None}
        self._close_methods: list[weakref.WeakMethod[Callable[[int], None]]] = []
        self._last_told = time.monotonic()
        self._is_told = False
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._uses = Uses()
        self._here: set[int] = set()  # in use by us, so that nobody evicts them
        self._opened: set[int] = set()  # of those, by who reads them
        self._coming: set[int] = set()
        self._passes: list[PassNeeds] = []
        self._num_urgent = 0

    def __bool__(self) -> bool:
        return bool(self._remote)

    def has(self, number: int) -> bool:
        """Whether a file comes from a URL."""
        return number in self._remote

    def take(self, number: int) -> None:
        """Wait until a file is here, or download it; it stays until it is closed.

        A thread that finds out what will be needed waits for room until there is some.

        Raises:
            RemoteError: it cannot be had, or there is no room for it.
            Stopped: the last pass was stopped meanwhile.
        """
        self._take(number, getattr(this_thread, "walks", None))

    def take_all(self, numbers: Sequence[int]) -> None:
        """As `take`, of several, by several connections."""
        missing = [number for number in numbers if number in self._remote and number not in self._opened]
        if len(missing) > 1:
            walks = getattr(this_thread, "walks", None)
            with ThreadPoolExecutor(min(CONNECTIONS, len(missing))) as pool:
                list(pool.map(lambda number: self._take(number, walks), missing))

    def _take(self, number: int, walks: PassNeeds | None) -> None:
        if number in self._opened or number not in self._remote:
            return
        if self._process != os.getpid():  # the parent has the threads, and its locks
            self._begin()
        if walks is not None:
            walks.note(walks.next_batch, [number])
            self._take_when_there_is_room(number, Stop([walks]), float("inf"))
            return
        passes = list(self._passes)
        for found in passes:
            found.note(found.first_batch, [number], is_begun=True)
        with self._changed:
            self._num_urgent += 1
        try:
            self._take_when_there_is_room(number, Stop(passes), time.monotonic() + ROOM_SECONDS)
        finally:
            with self._changed:
                self._num_urgent -= 1

    def _take_when_there_is_room(self, number: int, stop: Stop, deadline: float) -> None:
        is_urgent, has_collected = deadline < float("inf"), False
        while True:
            with self._changed:
                while number in self._coming or (self._num_urgent and not is_urgent):
                    if stop.is_set():
                        raise Stopped
                    self._changed.wait(POLL_SECONDS)
                if number in self._here:
                    self._opened.add(number)
                    return
                self._coming.add(number)
            try:
                self._fetch(number, stop)
                continue
            except NoRoom:
                if time.monotonic() > deadline:
                    raise
            finally:
                self._has_come(number)
            self.close_unneeded(number if is_urgent else None)
            if is_urgent and not has_collected:
                has_collected = True
                gc.collect()  # loaders that nobody has any longer use files, too
            if stop.wait(POLL_SECONDS):
                raise Stopped

    def ahead(self, batches: Iterator[Iterable[int]], first_batch: int) -> Ahead:
        """Begin to fetch what the batches of a pass read.

        Args:
            batches: the numbers of the files of each, in the order of need, from the first one on.
            first_batch: its place.
        """
        if self._process != os.getpid():
            self._begin()
        found = PassNeeds(batches, first_batch)
        with self._changed:
            self._passes[:] = [known for known in self._passes if not known.is_over]
            self._passes.append(found)
        return Ahead(self, found)

    def tell_cost(self, batches: Iterator[Iterable[int]], num_batches: int) -> None:
        """Say, the first time, how often an order will fetch each file, if it does that more than once in an epoch.

        Args:
            batches: the numbers of the files of each; some of the first ones are looked at.
            num_batches: of the epoch.

        Raises:
            RemoteError: a batch is read from more than the cache may hold.
        """
        sizes = {number: file.num_bytes or 0 for number, file in self._remote.items()}
        limit, total = cache_limit(), sum(sizes.values())
        if limit is None or total <= limit or self._is_told:
            return
        self._is_told = True
        kept: dict[int, None] = {}  # least recently used first
        count = fetched = 0
        for numbers in itertools.islice(batches, _BATCHES_LOOKED_AT):
            needed = [number for number in numbers if number in sizes]
            if (num_bytes := sum(sizes[number] for number in needed)) > limit:
                raise RemoteError(
                    f"a batch is read from {len(needed)} of {len(sizes)} shards, {num_bytes:,} bytes, and the cache's"
                    f" limit is {limit:,}: use ordering=quasi_random, or raise cache.limit"
                )
            count += 1
            fetched += sum(number not in kept for number in needed)
            for number in needed:
                kept.pop(number, None)
                kept[number] = None
            while sum(sizes[number] for number in kept) > limit:
                del kept[next(iter(kept))]
        times = fetched / max(count, 1) * num_batches / len(sizes)
        if times > 1.5:
            logger.warning(
                "the cache's limit is %s bytes, and the shards have %s: this order fetches each of them about %.0f"
                " times in an epoch; ordering=quasi_random does it once",
                f"{limit:,}", f"{total:,}", times,
            )  # fmt: skip

    def when_closed(self, method: Callable[[int], None]) -> None:
        """Have a method told the number of a file that nobody reads any longer, for it to be closed."""
        self._close_methods.append(weakref.WeakMethod(method))

    def is_complete(self) -> bool:
        """Whether all files are here."""
        return len(self._here) == len(self._remote)

    def close_unneeded(self, urgent: int | None = None) -> None:
        """Close what no pass needs; for a file that is needed now, also what batches need that are not begun."""
        with self._changed:
            passes = [found for found in self._passes if not found.is_over]  # one that is stopped may be at work still
            for number in [one for one in self._here if one]:  # the first one has the fields of all
                if number != urgent and not any(found.needs(number, urgent is not None) for found in passes):
                    self._close(number)

    def _close(self, number: int) -> None:
        self._here.discard(number)
        if number in self._opened:
            self._opened.discard(number)
            for method in self._close_methods:
                if (close := method()) is not None:
                    close(number)
        self._remote[number].touch()
        self._uses.end(self._remote[number].path.parent)

    def _fetch(self, number: int, stop: Stop) -> None:
        file = self._remote[number]
        try:
            file.take(lambda _: None, stop, self._uses)
        except BaseException:
            self._uses.end(file.path.parent)
            raise
        with self._changed:
            self._here.add(number)
            if time.monotonic() - self._last_told > TOLD_SECONDS:
                self._last_told = time.monotonic()
                logger.info("%d of %d shards are here", len(self._here), len(self._remote))

    def _has_come(self, number: int) -> None:
        with self._changed:
            self._coming.discard(number)
            self._changed.notify_all()

    def fetch_ahead(self, found: PassNeeds) -> None:
        """Download what a pass needs next, until all is here or the pass is at its end."""
        stop = Stop([found])
        while (number := self._next(found, stop)) is not None:
            has_room = True
            try:
                self._fetch(number, stop)
            except NoRoom:
                has_room = False
            except (RemoteError, Stopped) as error:  # whoever needs it meets it again
                logger.debug("%s", error)
            finally:
                self._has_come(number)
            found.is_short_of_room = not has_room
            if not has_room:
                found.put_back(number)
                self.close_unneeded()
                stop.wait(2 * POLL_SECONDS)

    def _next(self, found: PassNeeds, stop: Stop) -> int | None:
        """The number of the file that is to be downloaded next, as one that is coming; None if there will be none."""
        while not stop.is_set():
            with self._changed:
                waits = self._num_urgent or (found.is_short_of_room and self._coming)
                number = None if waits else found.next_file()
                if number is not None and number not in self._here | self._coming:
                    self._coming.add(number)
                    return number
                if self.is_complete():
                    return None
            if number is None and (waits or not found.walk(self._remote)):
                if found.is_walked and not found.has_files():
                    return None
                stop.wait(POLL_SECONDS)
        return None


class Ahead:
    """A pass whose files are fetched ahead of need; made by `RemoteShards.ahead`."""

    def __init__(self, shards: RemoteShards, found: PassNeeds) -> None:
        self._pass = found
        self.stop = found.stop
        count = 0 if shards.is_complete() else CONNECTIONS
        self._threads = [
            threading.Thread(target=shards.fetch_ahead, args=(found,), name="fetching ahead", daemon=True)
            for _ in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def needs(self, batch: int, numbers: Iterable[int]) -> None:
        """Keep some files until a batch is done; said before it is begun."""
        self._pass.note(batch, numbers, is_begun=True)

    def done(self, batch: int) -> None:
        """All batches before this one are done."""
        self._pass.first_batch = batch

    def close(self) -> None:
        """Stop, and wait for the threads; those that read the files are at their end."""
        self.stop()
        for thread in self._threads:
            thread.join()
        self._pass.is_over = True
