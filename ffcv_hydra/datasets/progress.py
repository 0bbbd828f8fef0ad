"""How far a dataset has come that looks at many files: for whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable

EVERY = 1000  # files between two reports

_listener: Callable[[str], None] | None = None


def listen(listener: Callable[[str], None] | None) -> None:
    """Have `report` call this function, in this process; None for nobody."""
    global _listener
    _listener = listener


def report(count: int, what: str) -> None:
    """Tell, now and then, that so many files were looked at."""
    if _listener is not None and count % EVERY == 0:
        _listener(f"{count:,} {what}")
