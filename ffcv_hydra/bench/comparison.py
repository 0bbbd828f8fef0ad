"""Two measurements side by side."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from ffcv_hydra.bench.report import Report, Round
from ffcv_hydra.terminal import TerminalConsole

_MICRO = 1e6


def print_comparison(
    first: Report, second: Report, console: Console | None = None, names: tuple[str, str] = ("", "")
) -> None:
    """Print what two measurements found, with ratios, and where they differ in what they depend on.

    A difference is within the noise if the middle halves of the values of the two measurements' rounds overlap.
    """
    console = console or TerminalConsole()
    table = Table("", "A", "B", "B / A", "", box=box.SIMPLE_HEAD)
    for column in table.columns[1:4]:
        column.justify = "right"
    table.add_row(*_row("samples/s", first, second, lambda one: one.samples_per_second))
    one, other = first.whole, second.whole
    for part in {**one.threads, **other.threads, **one.consumer, **other.consumer}:
        table.add_row(*_row(part, first, second, partial(_micros, part)))
    for letter, report, name in zip("AB", (first, second), names, strict=True):
        console.print(f"{letter}: {report.title}" + (f" ({name})" if name else ""), soft_wrap=True)
    console.print(table)
    console.print("µs per sample but for the first row; ~: within the noise of the rounds", soft_wrap=True)
    differences = [*_differences(first.facts, second.facts)]
    console.print("They differ in" if differences else "Machine, versions, data and settings are the same.")
    for line in differences:
        console.print(line, soft_wrap=True)


def _micros(part: str, one: Round) -> float:
    return (one.threads.get(part, 0.0) + one.consumer.get(part, 0.0)) / one.samples * _MICRO


def _row(name: str, first: Report, second: Report, value: Callable[[Round], float]) -> list[str]:
    before, after = value(first.whole), value(second.whole)
    ratio = f"{after / before:.2f}" if before and after else ""
    (low, high), (other_low, other_high) = (_middle([value(one) for one in each.rounds]) for each in (first, second))
    is_noise = low <= other_high and other_low <= high
    return [name, *(f"{each:,.1f}" for each in (before, after)), ratio, "~" if is_noise else ""]


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """The quartiles; everything, if that is one value, of whose noise nothing is known."""
    if len(values) < 2:
        return float("-inf"), float("inf")
    low, _, high = statistics.quantiles(values, method="inclusive")
    return low, high


def _differences(first: Mapping[str, Mapping[str, Any]], second: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for section in dict.fromkeys([*first, *second]):
        one, other = first.get(section, {}), second.get(section, {})
        for name in dict.fromkeys([*one, *other]):
            before, after = (facts.get(name, "not there") for facts in (one, other))
            if before != after:
                yield f"  {section}, {name}: {before} | {after}"
