"""Guessing what a mistyped name was meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `name` most resembles, or None if none comes close."""
    by_lower_case = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.6)
    return by_lower_case[matches[0]] if matches else None


def hint(name: str, known: Iterable[str], prefix: str = "") -> str:
    """`did you mean 'x'?` for the nearest of `known`, or else all of them; `prefix` goes before each name."""
    candidates = sorted(known)
    match = nearest(name, candidates)
    if match is not None:
        return f"did you mean '{prefix}{match}'?"
    return f"choose from {', '.join(candidates)}" if candidates else "there is nothing to choose from"
