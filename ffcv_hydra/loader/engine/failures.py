"""Samples that could not be used: what becomes of them, and the account of them."""

import logging
import threading
from collections import defaultdict
from enum import Enum

log = logging.getLogger(__name__)

_LOGGED_ONE_BY_ONE = 100


class OnError(Enum):
    """What a loader does with a sample whose stored data is damaged."""

    RAISE = "raise"
    SKIP = "skip"
    ZERO = "zero"


class FailedSamples:
    """The damaged samples that a loader met; safe to use from several threads. A copy has a lock of its own."""

    def __init__(self) -> None:
        self._fields: dict[int, set[str]] = defaultdict(set)
        self._lock = threading.Lock()

    def add(self, sample: int, field: str, message: str, consequence: str) -> None:
        """Take note of one, and log it the first time: each of the first hundred, and after that not any more."""
        with self._lock:
            known = field in self._fields[sample]
            self._fields[sample].add(field)
            count = len(self._fields)
        if known or count > _LOGGED_ONE_BY_ONE:
            return
        log.warning("%s (%s)", message, consequence)
        if count == _LOGGED_ONE_BY_ONE:
            log.warning("%d samples have failed; further ones are counted, but not logged", count)

    def __getstate__(self) -> dict[int, set[str]]:
        return {sample: set(fields) for sample, fields in list(self._fields.items())}

    def __setstate__(self, fields: dict[int, set[str]]) -> None:
        self._fields = defaultdict(set, fields)
        self._lock = threading.Lock()

    def samples(self) -> list[int]:
        """The ids of all that were met so far, sorted."""
        with self._lock:
            return sorted(self._fields)
