"""Iterators that somebody asks for only to see that there is one: who reads nothing is to be told nothing."""

from collections.abc import Callable

_askers: list[Callable[[], bool]] = []


def may_look(is_looking: Callable[[], bool]) -> Callable[[], bool]:
    """Have `is_looking` say, when an iterator is asked for, whether it is only looked at."""
    _askers.append(is_looking)
    return is_looking


def is_only_looked_at() -> bool:
    """Whether somebody looks at the iterator that is being asked for."""
    return any(is_looking() for is_looking in _askers)
