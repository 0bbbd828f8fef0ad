"""What every benchmark ends with: one table on the screen, and the same as JSON and as a plot."""

import json
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib
from rich.console import Console
from rich.table import Table

from benchmarks.contest import Result
from ffcv_hydra.cores import usable_cores

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

RESULTS = Path(__file__).parent / "results"
WIDTH = 120  # where there is no terminal to ask
OURS, OTHERS = "#1f77b4", "#b0b0b0"


def machine() -> dict[str, Any]:
    """What was measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "usable_cores": usable_cores(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("ffcv", "torch", "numba", "numpy") if find_spec(package)},
    }


def publish(
    name: str,
    title: str,
    unit: str,
    results: Sequence[Result],
    *,
    reference: str,
    less_is_better: bool = False,
    form: Callable[[float], str] = "{:,.0f}".format,
    ratio_form: Callable[[float], str] = "{:.2f}".format,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Print the table, and save `NAME.json` and `NAME.png` in `benchmarks/results`.

    Args:
        name: of the files.
        title: what was measured.
        unit: of the values.
        results: one per row.
        reference: the row that the others are compared with: how many times better they are, in the median round.
        less_is_better: whether small values are good ones.
        form, ratio_form: write a value and a ratio.
        settings: what the benchmark was started with.
    """
    against = next((result for result in results if result.name == reference), None)
    ratios = [_ratio(result, against, less_is_better) for result in results]
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(_table(title, unit, results, ratios, reference, form, ratio_form))
    _say_where(console)
    rows = [_record(result) | {"ratio": ratio} for result, ratio in zip(results, ratios, strict=True)]
    record = {"title": title, "unit": unit, "reference": reference, "less_is_better": less_is_better}
    _save(name, record | {"results": rows}, settings)
    _plot(RESULTS / f"{name}.png", title, unit, results, form)


def publish_grid(
    name: str,
    title: str,
    unit: str,
    grid: Mapping[str, Sequence[Result]],
    *,
    besides: Sequence[str] = (),
    less_is_better: bool = False,
    form: Callable[[float], str] = "{:,.0f}".format,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """The same for several rows: each contender is a column, and the last one says how far ours is ahead.

    Args:
        name, title, unit, less_is_better, form, settings: as `publish` has them.
        grid: the contenders' results in each row, ours first.
        besides: those that are no competitors.
    """
    contenders = list(dict.fromkeys(result.name for results in grid.values() for result in results))
    table = Table("", title=f"{title}, {unit}")
    for header in (*contenders, "× the fastest other"):
        table.add_column(header.replace("_", " "), justify="right")
    ahead, notes = {}, []
    for row, results in grid.items():
        of = {result.name: result for result in results}
        others = [_ratio(results[0], of[one], less_is_better) for one in of if one not in (results[0].name, *besides)]
        known = [ratio for ratio in others if ratio is not None]
        cells = ["–" if one not in of or of[one].median is None else form(of[one].median) for one in contenders]
        table.add_row(row, *cells, f"{min(known):.2f}" if known else "–")
        if known:
            ahead[row] = min(known)
        notes += [f"{row}, {result.name}: {result.note}" for result in results if result.note]
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(table)
    for line in notes:
        console.print(line, style="dim", highlight=False)
    _say_where(console)
    rows = {row: [_record(result) for result in results] for row, results in grid.items()}
    record = {"title": title, "unit": unit, "less_is_better": less_is_better, "ahead": ahead, "results": rows}
    _save(name, record, settings)
    bars = [Result(row, [ratio]) for row, ratio in ahead.items()]
    _plot(RESULTS / f"{name}.png", title, "times as fast as the fastest other", bars, "{:.2f}".format)


def _say_where(console: Console) -> None:
    shown = ", ".join(f"{key} {value}" for key, value in machine().items())
    console.print(shown, style="dim", highlight=False)


def _record(result: Result) -> dict[str, Any]:
    return asdict(result) | {"median": result.median}


def _save(name: str, record: Mapping[str, Any], settings: Mapping[str, Any] | None) -> None:
    RESULTS.mkdir(exist_ok=True)
    whole = {**record, "machine": machine(), "settings": dict(settings or {})}
    (RESULTS / f"{name}.json").write_text(json.dumps(whole, indent=1) + "\n")


def _ratio(result: Result, against: Result | None, less_is_better: bool) -> float | None:
    """How many times better: the median over the rounds, which neither loses by a change in the machine's speed."""
    if against is None or not result.values or not against.values:
        return None
    if len(result.values) != len(against.values):
        better, worse = (against, result) if less_is_better else (result, against)
        return statistics.median(better.values) / statistics.median(worse.values)
    pairs = zip(result.values, against.values, strict=True)
    return statistics.median(base / value if less_is_better else value / base for value, base in pairs)


def _table(
    title: str,
    unit: str,
    results: Sequence[Result],
    ratios: Sequence[float | None],
    reference: str,
    form: Callable[[float], str],
    ratio_form: Callable[[float], str],
) -> Table:
    table = Table(title=title)
    for header in ("", f"{unit}, median", "least", "most", f"× {reference}", ""):
        table.add_column(header, justify="left" if header == "" else "right")
    for result, ratio in zip(results, ratios, strict=True):
        note = result.note or result.versions
        if result.median is None:
            table.add_row(result.name, "–", "–", "–", "–", note)
            continue
        numbers = [form(value) for value in (result.median, min(result.values), max(result.values))]
        table.add_row(result.name, *numbers, "–" if ratio is None else ratio_form(ratio), note)
    return table


def _plot(path: Path, title: str, unit: str, results: Sequence[Result], form: Callable[[float], str]) -> None:
    shown = [result for result in reversed(results) if result.median is not None]
    medians = [result.median for result in shown]
    figure, axes = plt.subplots(figsize=(8, 1 + 0.4 * len(shown)), layout="constrained")
    colours = [OURS if result.name.startswith("ours") else OTHERS for result in shown]
    axes.barh([result.name.replace("_", " ") for result in shown], medians, color=colours)
    axes.errorbar(
        medians,
        range(len(shown)),
        xerr=[
            [median - min(result.values) for median, result in zip(medians, shown, strict=True)],
            [max(result.values) - median for median, result in zip(medians, shown, strict=True)],
        ],
        fmt="none",
        color="black",
        linewidth=1,
    )
    for row, result in enumerate(shown):
        place = (max(result.values), row)
        axes.annotate(form(medians[row]), place, xytext=(6, 0), textcoords="offset points", va="center")
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(unit)
    axes.set_title(title, loc="left", fontsize="medium")
    figure.savefig(path, dpi=120)
    plt.close(figure)
