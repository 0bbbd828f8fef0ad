"""Guessing what a mistyped name was meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `name` most resembles, or None if none comes close."""
    by_lower_case = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.6)
    return by_lower_case[matches[0]] if matches else None


def is_slip(name: str, known: Iterable[str]) -> bool:
    """Whether `name` is one of `known` but for a slip: a letter too many, too few or wrong, or two that changed places.

    In words of six letters and more it may be two of these, and longer forms of a word count, as `training` of `train`.
    Words that only look alike, as `ratio` and `train`, do not.
    """
    name = name.lower()
    return any(
        _slips(name, one) <= (2 if len(one) > 5 else 1) or (name.startswith(one) and name.isalpha())
        for one in map(str.lower, known)
    )


def _slips(name: str, other: str) -> int:
    """The least number of slips between two words (the optimal string alignment distance)."""
    before, row = [0] * (len(other) + 1), list(range(len(other) + 1))
    for i, letter in enumerate(name, 1):
        earlier, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted)))
            if i > 1 and j > 1 and (letter, name[i - 2]) == (other[j - 2], wanted):
                row[j] = min(row[j], earlier[j - 2] + 1)
    return row[-1]


def hint(name: str, known: Iterable[str], prefix: str = "") -> str:
    """`did you mean 'x'?` for the nearest of `known`, or else all of them; `prefix` goes before each name."""
    candidates = sorted(known)
    match = nearest(name, candidates)
    if match is not None:
        return f"did you mean '{prefix}{match}'?"
    return f"choose from {', '.join(candidates)}" if candidates else "there is nothing to choose from"
