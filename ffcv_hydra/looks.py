"""Iterators that somebody asks for only to see that there is one: who reads nothing is to be told nothing."""

from collections.abc import Callable

_askers: list[Callable[[object], bool]] = []


def may_look(is_looking: Callable[[object], bool]) -> Callable[[object], bool]:
    """Have `is_looking` say, when an iterator of something is asked for, whether it is only looked at."""
    _askers.append(is_looking)
    return is_looking


def is_only_looked_at(iterable: object) -> bool:
    """Whether somebody looks at the iterator that `iterable` is being asked for."""
    return any(is_looking(iterable) for is_looking in _askers)
