"""A sweep's results as a picture: lines or bars over one swept key, a heat map over two."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ffcv_hydra.atomic_file import written_beside
from ffcv_hydra.printable import printable
from ffcv_hydra.sweeps.formats import number
from ffcv_hydra.sweeps.results import Results, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_BARS = 40
_LEAST_FILLED = 0.5
"""Share of a heat map's cells that have to have a value; a random search is drawn as points."""

_LEAST_GAP = 0.08
"""Between two labels on an axis, as a share of its width."""

Point = tuple[Row, float]


def plot(results: Results, path: Path) -> bool:
    """Draw the optimized metric and, beside it, images per second; returns False if there is nothing to draw.

    Raises:
        OSError: the file cannot be written.
    """
    results = _in_print(results)
    keys = results.varying
    panels = []
    if results.metric is not None and results.metric != "samples_per_second":
        panels.append((results.metric, results.mode, [(row, row.value) for row in results.rows]))
    panels.append(("images/s", "max", [(row, row.samples_per_second) for row in results.rows]))
    drawn = [(title, mode, points) for title, mode, pairs in panels if (points := _usable(pairs))]
    if not drawn or not keys:
        return False
    # Neither `pyplot`, which keeps figures, nor a window: the figure draws itself into the file.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0 * len(drawn), 4.5), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    for index, (title, mode, points) in enumerate(drawn):
        axes = figure.add_subplot(1, len(drawn), index + 1)
        if len(keys) == 1:
            _over_one_key(axes, title, keys[0], points)
        elif len(keys) == 2:
            colours = "viridis" if mode == "max" else "viridis_r"  # the brighter, the better
            _over_two_keys(figure, axes, title, (keys[0], keys[1]), points, results.rows, colours)
        else:
            _as_bars(axes, title, keys, points)
    with written_beside(path) as file:
        figure.savefig(file, format="png")
    return True


def _in_print(results: Results) -> Results:
    """The results with texts that a font has glyphs for and that are not taken for mathematics."""

    def drawn(text: str) -> str:
        return printable(text).replace("$", r"\$")

    rows = [
        replace(row, overrides={drawn(key): drawn(value) for key, value in row.overrides.items()})
        for row in results.rows
    ]
    return replace(results, rows=rows, metric=None if results.metric is None else drawn(results.metric))


def _usable(pairs: list[tuple[Row, float | None]]) -> list[Point]:
    """Values that stand for a whole training."""
    done = [(row, value) for row, value in pairs if row.state == "completed" and value is not None]
    return [(row, value) for row, value in done if math.isfinite(value)]


def _over_one_key(axes: "Axes", title: str, key: str, points: list[Point]) -> None:
    places = [_as_number(row.overrides.get(key, "")) for row, _ in points]
    if all(place is not None for place in places):
        pairs = sorted((float(place or 0), value) for place, (_, value) in zip(places, points, strict=True))
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
        axes.bar([row.overrides.get(key, "") for row, _ in ordered], [value for _, value in ordered])
    axes.set_xlabel(key)
    axes.set_ylabel(title)


def _apart(places: list[float], scale: Callable[[float], float]) -> list[float]:
    """Those of ascending places on an axis of that scale at which there is room for a label."""
    gap = _LEAST_GAP * (scale(places[-1]) - scale(places[0]))
    found = places[:1]
    for place in places[1:]:
        if scale(place) - scale(found[-1]) > gap:
            found.append(place)
    return found


def _over_two_keys(
    figure: "Figure",
    axes: "Axes",
    title: str,
    keys: tuple[str, str],
    points: list[Point],
    all_rows: list[Row],
    colours: str,
) -> None:
    row_key, column_key = keys
    rows, columns = (_ticks([row.overrides.get(key, "") for row in all_rows]) for key in keys)
    cells: dict[tuple[int, int], list[float]] = {}
    for row, value in points:
        cell = rows.index(row.overrides.get(row_key, "")), columns.index(row.overrides.get(column_key, ""))
        cells.setdefault(cell, []).append(value)
    axes.set_xlabel(column_key)
    axes.set_ylabel(row_key)
    axes.set_title(title)
    if len(cells) < _LEAST_FILLED * len(rows) * len(columns):
        numeric = [_as_number(name) is not None for name in (*rows, *columns)]
        x, y = ([_place(row.overrides.get(key, ""), names, all(numeric)) for row, _ in points]
                for key, names in ((column_key, columns), (row_key, rows)))  # fmt: skip
        figure.colorbar(axes.scatter(x, y, c=[value for _, value in points], cmap=colours), ax=axes)
        return
    means = {cell: sum(values) / len(values) for cell, values in cells.items()}
    grid = [[means.get((r, c), math.nan) for c in range(len(columns))] for r in range(len(rows))]
    figure.colorbar(axes.imshow(grid, aspect="auto", origin="lower", cmap=colours), ax=axes)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    for (r, c), mean in means.items():
        axes.text(
            c, r, number(mean), ha="center", va="center", color="white", bbox={"facecolor": "black", "alpha": 0.4}
        )


def _as_bars(axes: "Axes", title: str, keys: Sequence[str], points: list[Point]) -> None:
    shown = points[:_MOST_BARS][::-1]  # the best one on top
    labels = [", ".join(f"{key.rpartition('.')[2]}={row.overrides.get(key, '')}" for key in keys) for row, _ in shown]
    axes.barh(range(len(shown)), [value for _, value in shown])
    axes.set_yticks(range(len(shown)), labels, fontsize="x-small")
    axes.set_xlabel(title)
    axes.locator_params(axis="x", nbins=5)


def _ticks(names: list[str]) -> list[str]:
    distinct = list(dict.fromkeys(names))
    numbers = {name: _as_number(name) for name in distinct}
    if any(found is None for found in numbers.values()):
        return sorted(distinct)
    return sorted(distinct, key=lambda name: numbers[name] or 0.0)


def _place(name: str, names: list[str], numeric: bool) -> float:
    return float(_as_number(name) or 0.0) if numeric else float(names.index(name))


def _as_number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
