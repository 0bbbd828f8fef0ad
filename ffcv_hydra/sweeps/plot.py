"""A sweep's results as a picture: lines or bars over one swept key, a heat map over two."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ffcv_hydra.atomic_file import written_beside
from ffcv_hydra.drawn_text import any_script, in_print
from ffcv_hydra.sweeps.formats import number, shortened
from ffcv_hydra.sweeps.groups import averaged, groups_of
from ffcv_hydra.sweeps.results import Results, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_BARS = 40
_LEAST_FILLED = 0.5
"""Share of a heat map's cells that have to have a value; a random search is drawn as points."""

_LEAST_GAP = 0.08
"""Between two labels on an axis, as a share of its width."""

_LONGEST = 24
"""Characters of a value's name on an axis; of a job's, which has several values, twice as many."""
_MOST_BESIDE = 60
"""Characters of all names on an axis that have room beside one another; more of them stand upright."""
_MOST_CELLS = 10
"""Columns of a heat map with numbers in their cells."""

Point = tuple[Row, float]


def plot(results: Results, path: Path) -> bool:
    """Draw the optimized metric and, beside it, images per second; returns False if there is nothing to draw.

    Raises:
        OSError: the file cannot be written.
    """
    results = _in_print(results)
    jobs = results
    if (groups := groups_of(results)) and groups[0].overrides:
        results = averaged(results, groups)
    keys = results.varying
    panels = []
    if results.metric is not None and results.metric != "samples_per_second":
        panels.append((results.metric, results.mode, [(row, row.optimized_metric) for row in results.rows]))
    panels.append(("images/s", "max", [(row, row.samples_per_second) for row in results.rows]))
    drawn = [(title, mode, points) for title, mode, pairs in panels if (points := _usable(pairs))]
    if not drawn or not keys:
        return False
    # Neither `pyplot`, which keeps figures, nor a window: the figure draws itself into the file.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    most_points = max(len(points) for _, _, points in drawn) if len(keys) > 2 else 0
    height = max(4.5, 1.0 + 0.17 * min(_MOST_BARS, most_points))
    figure = Figure(figsize=(6.0 * len(drawn), height), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    for index, (title, mode, points) in enumerate(drawn):
        axes = figure.add_subplot(1, len(drawn), index + 1)
        if len(keys) == 1:
            _over_one_key(axes, title, keys[0], points)
            if jobs is not results:
                _add_jobs(axes, keys[0], _usable([(row, _value(row, title)) for row in jobs.rows]))
        elif len(keys) == 2:
            colours = "viridis" if mode == "max" else "viridis_r"  # the brighter, the better
            _over_two_keys(axes, title, keys, points, results.rows, colours)
        else:
            _as_bars(axes, title, results.by_variation, points)
    with written_beside(path) as file, any_script():
        figure.savefig(file, format="png")
    return True


def _in_print(results: Results) -> Results:
    rows = [
        replace(row, overrides={in_print(key): in_print(value) for key, value in row.overrides.items()})
        for row in results.rows
    ]
    return replace(results, rows=rows, metric=None if results.metric is None else in_print(results.metric))


def _usable(pairs: list[tuple[Row, float | None]]) -> list[Point]:
    """Values that stand for a whole training."""
    done = [(row, value) for row, value in pairs if row.state == "completed" and value is not None]
    return [(row, value) for row, value in done if math.isfinite(value)]


def _over_one_key(axes: "Axes", title: str, key: str, points: list[Point]) -> None:
    numbers = _numbers(row.overrides.get(key, "") for row, _ in points)
    if numbers is not None:
        pairs = sorted((numbers[row.overrides.get(key, "")], value) for row, value in points)
        axes.plot([place for place, _ in pairs], [value for _, value in pairs], marker="o")
        distinct = sorted({place for place, _ in pairs})
        logarithmic = distinct[0] > 0 and distinct[-1] / distinct[0] >= 8
        if logarithmic:
            axes.set_xscale("log")
        labelled = _apart(distinct, math.log if logarithmic else float)
        axes.set_xticks(labelled, [number(place) for place in labelled])
        axes.set_xticks([], minor=True)
    else:
        ordered = sorted(points, key=lambda point: point[0].job)
        names = [row.overrides.get(key, "") for row, _ in ordered]
        axes.bar(names, [value for _, value in ordered])
        _name_columns(axes, list(dict.fromkeys(names)))
    axes.set_xlabel(key)
    axes.set_ylabel(title)


def _name_columns(axes: "Axes", names: Sequence[str]) -> None:
    """Name what stands at 0, 1, ... along the lower axis."""
    shown = [shortened(name, _LONGEST) for name in names]
    axes.set_xticks(range(len(names)), shown, rotation=90 if sum(map(len, shown)) > _MOST_BESIDE else 0)


def _value(row: Row, title: str) -> float | None:
    return row.samples_per_second if title == "images/s" else row.optimized_metric


def _add_jobs(axes: "Axes", key: str, points: list[Point]) -> None:
    """Draw the jobs that means are of, as points."""
    texts = [row.overrides.get(key, "") for row, _ in points]
    numbers = _numbers(texts)
    places = texts if numbers is None else [numbers[text] for text in texts]
    axes.plot(places, [value for _, value in points], "o", color="0.4", markersize=3)


def _apart(places: list[float], scale: Callable[[float], float]) -> list[float]:
    """Those of ascending places on an axis of that scale at which there is room for a label."""
    gap = _LEAST_GAP * (scale(places[-1]) - scale(places[0]))
    found = places[:1]
    for place in places[1:]:
        if scale(place) - scale(found[-1]) > gap:
            found.append(place)
    return found


def _over_two_keys(
    axes: "Axes", title: str, keys: Sequence[str], points: list[Point], all_rows: list[Row], colours: str
) -> None:
    row_key, column_key = keys
    rows, columns = (_ticks([row.overrides.get(key, "") for row in all_rows]) for key in keys)
    names = [(row.overrides.get(row_key, ""), row.overrides.get(column_key, "")) for row, _ in points]
    places = [(rows.index(row), columns.index(column)) for row, column in names]
    cells: dict[tuple[int, int], list[float]] = {}
    for place, (_, value) in zip(places, points, strict=True):
        cells.setdefault(place, []).append(value)
    axes.set_xlabel(column_key)
    axes.set_ylabel(row_key)
    axes.set_title(title)
    if len(cells) < _LEAST_FILLED * len(rows) * len(columns):
        numbers = _numbers([*rows, *columns])
        at = places if numbers is None else [(numbers[row], numbers[column]) for row, column in names]
        y, x = zip(*at, strict=True)
        axes.figure.colorbar(axes.scatter(x, y, c=[value for _, value in points], cmap=colours), ax=axes)
        return
    means = {cell: sum(values) / len(values) for cell, values in cells.items()}
    grid = [[means.get((r, c), math.nan) for c in range(len(columns))] for r in range(len(rows))]
    axes.figure.colorbar(axes.imshow(grid, aspect="auto", origin="lower", cmap=colours), ax=axes)
    _name_columns(axes, columns)
    axes.set_yticks(range(len(rows)), [shortened(name, _LONGEST) for name in rows])
    for (r, c), mean in means.items() if len(columns) <= _MOST_CELLS else ():
        axes.text(
            c, r, number(mean), ha="center", va="center", color="white", bbox={"facecolor": "black", "alpha": 0.4}
        )


def _as_bars(axes: "Axes", title: str, keys: Sequence[str], points: list[Point]) -> None:
    shown = points[:_MOST_BARS][::-1]  # the best one on top
    labels = [shortened(label(row, keys), 2 * _LONGEST) for row, _ in shown]
    axes.barh(range(len(shown)), [value for _, value in shown])
    axes.set_yticks(range(len(shown)), labels, fontsize="x-small")
    axes.set_xlabel(title)
    axes.locator_params(axis="x", nbins=5)


def label(row: Row, keys: Iterable[str]) -> str:
    """`lr=0.1, width=64`: the values that a row has of some keys."""
    return ", ".join(f"{key.rpartition('.')[2]}={row.overrides[key]}" for key in keys if key in row.overrides)


def _ticks(names: list[str]) -> list[str]:
    numbers = _numbers(names)
    return sorted(set(names), key=numbers.__getitem__ if numbers else None)


def _numbers(texts: Iterable[str]) -> dict[str, float] | None:
    """The texts as numbers; None if one is none."""
    try:
        found = {text: float(text) for text in texts}
    except ValueError:
        return None
    return found if all(map(math.isfinite, found.values())) else None
