"""An evaluation as pictures, for loggers that show some: the confusions, and the worst mistakes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ffcv_hydra.drawn_text import any_script, in_print
from ffcv_hydra.report.confusion import MOST_IN_MATRIX, MOST_PAIRS, matrix_of
from ffcv_hydra.report.evaluation import Data, Found, class_name
from ffcv_hydra.report.pictures import stored_pictures

_COLUMNS = 6


def evaluation_figures(found: Found, data: Data | None, class_names: Sequence[str] | None) -> dict[str, np.ndarray]:
    """`confusion` and `worst_mistakes`, uint8 (H, W, 3); what the evaluation did not find is left out."""
    figures = {}
    if sum(found.get("counts") or ()) and found.get("confused") is not None:
        is_small = len(found["counts"]) <= MOST_IN_MATRIX
        figures["confusion"] = _matrix(found, class_names) if is_small else _pairs(found, class_names)
    kept = found.get("mistakes") or []
    pictures, _ = stored_pictures(data, [mistake["id"] for mistake in kept]) if kept else ([], None)
    if pictures:
        captions = [
            f"{_shortened(class_name(class_names, mistake['label']), 18)}\n"
            f"taken for {_shortened(class_name(class_names, mistake['predicted']), 12)}"
            for mistake in kept
        ]
        figures["worst_mistakes"] = _sheet(pictures, captions)
    return {name: _drawn(figure) for name, figure in figures.items()}


def _shortened(name: str, most: int) -> str:
    """A name that fits."""
    return in_print(name if len(name) <= most else f"{name[:most]}…")


def _matrix(found: Found, class_names: Sequence[str] | None) -> Figure:
    counts = np.array(matrix_of(found))
    size = len(counts)
    figure = Figure(figsize=(2.5 + 0.42 * size, 2 + 0.42 * size), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    axes.imshow(np.sqrt(counts / np.maximum(1, counts.sum(axis=1, keepdims=True))), cmap="Blues", vmin=0, vmax=1)
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if counts[row, column] > 0.25 * counts[row].sum() else "black"
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour, fontsize=8)
    names = [_shortened(class_name(class_names, number), 20) for number in range(size)]
    axes.set_xticks(range(size), names, rotation=90)
    axes.set_yticks(range(size), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return figure


def _pairs(found: Found, class_names: Sequence[str] | None) -> Figure:
    pairs = (found.get("confused") or [])[:MOST_PAIRS]
    names = [
        f"{_shortened(class_name(class_names, label), 24)} → {_shortened(class_name(class_names, predicted), 24)}"
        for label, predicted, _ in pairs
    ]
    figure = Figure(figsize=(8, 1.5 + 0.22 * len(pairs)), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    axes.barh(range(len(pairs)), [count for _, _, count in pairs])
    axes.set_yticks(range(len(pairs)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("samples")
    axes.set_title("true → taken for")
    return figure


def _sheet(pictures: Sequence[np.ndarray], captions: Sequence[str]) -> Figure:
    rows = -(-len(pictures) // _COLUMNS)
    figure = Figure(figsize=(1.7 * _COLUMNS, 2.1 * rows), layout="constrained", dpi=110)
    for place, (pixels, caption) in enumerate(zip(pictures, captions, strict=True)):
        axes = figure.add_subplot(rows, _COLUMNS, place + 1)
        axes.imshow(pixels)
        axes.set_axis_off()
        axes.set_title(caption, fontsize=7)
    return figure


def _drawn(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    with any_script():
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
