"""Checks of operations' arguments, which configs give as plain numbers and lists."""

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

from ffcv_hydra.errors import PipelineError


def is_sequence(values: Any) -> bool:
    """Whether it is a list, a tuple or the like, and no text."""
    return isinstance(values, Sequence) and not isinstance(values, str)


def number(operation: str, argument: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """`value` as a float within [`low`, `high`].

    Raises:
        PipelineError: it is none.
    """
    if not isinstance(value, Real) or math.isinf(value) or not low <= float(value) <= high:
        raise PipelineError(f"{operation}: {argument} is a number{_bounds(low, high)}; got {value}")
    return float(value)


def integer(operation: str, argument: str, value: Any, low: float = -math.inf, high: float = math.inf) -> int:
    """`value`, an integer within [`low`, `high`].

    Raises:
        PipelineError: it is none.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or not low <= int(value) <= high:
        raise PipelineError(f"{operation}: {argument} is an integer{_bounds(low, high)}; got {value}")
    return int(value)


def one_of(operation: str, argument: str, value: str, known: Iterable[str]) -> str:
    """`value`, if it is one of some words.

    Raises:
        PipelineError: it is another one.
    """
    words = list(known)
    if value not in words:
        raise PipelineError(f"{operation}: {argument} is one of {', '.join(words)}; got {value}")
    return value


def numbers(operation: str, argument: str, values: Any, count: int | None = None) -> tuple[float, ...]:
    """A list, tuple or array of finite numbers as a tuple of floats; `count` of them, if that is given.

    Raises:
        PipelineError: it is none.
    """
    try:
        found = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        found = ()
    if not found or not all(map(math.isfinite, found)) or (count is not None and len(found) != count):
        what = "numbers" if count is None else f"{count} numbers"
        raise PipelineError(f"{operation}: {argument} is a list of {what}; got {values}")
    return found


def interval(
    operation: str, argument: str, values: Any, low: float = -math.inf, high: float = math.inf, above: bool = False
) -> tuple[float, float]:
    """[smallest, largest] as floats within [`low`, `high`].

    Args:
        operation, argument: for the message.
        values: what was given.
        low, high: the bounds.
        above: whether `low` itself is too small.

    Raises:
        PipelineError: it is no such list.
    """
    smallest, largest = numbers(operation, argument, values, 2)
    if smallest > largest or smallest < low or largest > high or (above and smallest == low):
        bounds = _bounds(low, high, above)
        raise PipelineError(f"{operation}: {argument} is [smallest, largest]{bounds}; got {values}")
    return smallest, largest


def symmetric_interval(operation: str, argument: str, values: Any) -> tuple[float, float]:
    """[smallest, largest], or one number x for [-x, x], as floats.

    Raises:
        PipelineError: it is neither.
    """
    if isinstance(values, Real):
        number(operation, argument, values, 0)
        values = (-values, values)
    return interval(operation, argument, values)


def size_pair(operation: str, size: Any) -> tuple[int, int]:
    """(height, width) in pixels, from a list or from one number for both.

    Raises:
        PipelineError: it is neither.
    """
    pair = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, Sequence) else ()
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise PipelineError(f"{operation}: size is [height, width] in pixels, or one number; got {size}")
    return pair


def _bounds(low: float, high: float, above: bool = False) -> str:
    """What a message says of them."""
    lower = "" if low == -math.inf else f", above {low:g}" if above else f", at least {low:g}"
    return lower + (f", at most {high:g}" if high < math.inf else "")
