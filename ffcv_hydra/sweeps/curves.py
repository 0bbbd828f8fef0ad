"""A metric of all jobs of a sweep over the epochs, as one picture."""

import math
from collections.abc import Sequence
from pathlib import Path

from ffcv_hydra.atomic_file import written_beside
from ffcv_hydra.drawn_text import any_script, in_print
from ffcv_hydra.run_folder import METRICS, Columns, read_columns
from ffcv_hydra.sweeps.formats import shortened
from ffcv_hydra.sweeps.groups import is_repeated
from ffcv_hydra.sweeps.plot import label
from ffcv_hydra.sweeps.results import Results

_MOST_NAMED = 10
"""Groups of jobs that have a colour and a line in the legend of their own; of more, the best ones have."""
_LONGEST = 60
"""Characters of a name in the legend."""


def plot_curves(results: Results, path: Path) -> bool:
    """Draw the optimized metric of each epoch, a line per job; returns False if there is nothing to draw.

    Jobs that are repetitions of one another (`seed`, `fold`) have one colour. Without an optimized metric it is the
    first of the validation, or else of the training.

    Raises:
        OSError: the file cannot be written.
    """
    curves = [(row, read_columns(row.path / METRICS)) for row in results.rows]
    curves = [(row, columns) for row, columns in curves if columns.get("epoch")]
    metric = _metric(results, [columns for _, columns in curves])
    drawn = [(row, points) for row, columns in curves if (points := _points(columns, metric))]
    if metric is None or not drawn:
        return False
    # Neither `pyplot`, which keeps figures, nor a window: the figure draws itself into the file.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8.0, 5.0), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    keys = [key for key in results.by_variation if not is_repeated(key)]
    named = [(in_print(label(row, keys)), points) for row, points in drawn]
    order = list(dict.fromkeys(name for name, _ in named))  # the best first
    for name, points in reversed(named):
        place = order.index(name)
        colour, named_by = (f"C{place}", name) if place < _MOST_NAMED else ("0.8", None)
        epochs, values = zip(*points, strict=True)
        axes.plot(epochs, values, color=colour, label=named_by, marker="o" if len(points) == 1 else None, linewidth=1.2)
    handles = {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    shown = [name for name in order[:_MOST_NAMED] if name in handles]
    if any(shown):
        axes.legend([handles[name] for name in shown], [shortened(name, _LONGEST) for name in shown], fontsize="small")
    axes.set_xlabel("epoch")
    axes.set_ylabel(in_print(metric))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    with written_beside(path) as file, any_script():
        figure.savefig(file, format="png")
    return True


def _metric(results: Results, curves: Sequence[Columns]) -> str | None:
    names = [name for columns in curves for name in columns if name not in ("epoch", "step")]
    wanted = [results.metric, *(name for name in names if name.startswith("val")), *names]
    return next((name for name in wanted if name in names), None)


def _points(columns: Columns, metric: str | None) -> list[tuple[float, float]]:
    pairs = zip(columns["epoch"], columns.get(metric or "", []), strict=False)
    return [(x, y) for x, y in pairs if x is not None and y is not None and math.isfinite(y)]
