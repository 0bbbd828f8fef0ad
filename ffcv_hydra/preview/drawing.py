"""A contact sheet as a PNG: a row for each sample, a column for each thing that became of it."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffcv_hydra.drawn_text import any_script
from ffcv_hydra.preview.marks import Mark
from ffcv_hydra.preview.pictures import PALETTE

# All in inches
CELL, GAP, GROUP_GAP, MARGIN = 1.4, 0.05, 0.2, 0.15
LINE = 0.15  # height of a line of text
FONT_SIZE = 8  # points
CHARACTERS = 24  # that fit under a cell
CAPTION_LINES = 2
LINE_WIDTH, POINT_SIZE, MARK_FONT_SIZE = 1.0, 3.0, 4.5  # of marks, in points
MARK_HEIGHT = 0.08  # of a text at a mark


@dataclass
class Column:
    """One column of a sheet.

    Attributes:
        title: above it, one or two lines.
        pictures: one per row, float (H, W, 3) in [0, 1], of any sizes.
        captions: one per row, to stand below it, with a line of its own for a name before; empty for none at all.
        begins_group: whether it stands off from the column before it.
        marks: for each row, what is drawn over its picture; empty for nothing at all.
    """

    title: str
    pictures: list[np.ndarray]
    captions: list[str] = field(default_factory=list)
    begins_group: bool = False
    marks: list[list[Mark]] = field(default_factory=list)


def draw(columns: Sequence[Column], title: str, notes: Sequence[str], output: Path) -> None:
    """Write the sheet.

    Args:
        columns: all of one length, at least 1.
        title: above all; may have several lines.
        notes: below all, a line each.
        output: the PNG; replaced if it is there.

    Raises:
        OSError: if it cannot be written.
    """
    rows = len(columns[0].pictures)
    cell_height = CELL * float(np.clip(np.median([_aspect(p) for c in columns for p in c.pictures]), 0.4, 2.5))
    lefts = np.cumsum([MARGIN] + [CELL + (GROUP_GAP if after.begins_group else GAP) for after in columns[1:]])
    width = max(float(lefts[-1]) + CELL + MARGIN, 3.5)
    heading = _wrap(title, width)
    footer = [line for note in notes for line in _wrap(note, width)]
    captions = [[_caption(text) for text in column.captions] for column in columns]
    caption_height = LINE * max((text.count("\n") + 1 for column in captions for text in column if text), default=0)
    top = MARGIN + LINE * (len(heading) + 0.7 + max(column.title.count("\n") + 1 for column in columns))
    row_height = cell_height + caption_height + GAP
    height = top + rows * row_height + LINE * (len(footer) + 0.5) + MARGIN
    figure = Figure(figsize=(width, height), dpi=120)
    text: dict[str, Any] = {"fontsize": FONT_SIZE, "linespacing": 1.15, "parse_math": False}
    figure.text(MARGIN / width, 1 - MARGIN / height, "\n".join(heading), va="top", weight="bold", **text)
    figure.text(MARGIN / width, MARGIN / height, "\n".join(footer), va="bottom", color="dimgray", **text)
    for column, left, below in zip(columns, lefts, captions, strict=True):
        middle = (left + CELL / 2) / width
        figure.text(middle, 1 - (top - 0.07) / height, column.title, ha="center", va="baseline", **text)
        for row, shown in enumerate(column.pictures):
            bottom = height - top - row * row_height - cell_height
            axes = figure.add_axes((left / width, bottom / height, CELL / width, cell_height / height))
            axes.imshow(shown)
            axes.set_anchor("S")  # beside its caption
            axes.axis("off")
            axes.autoscale(False)  # marks may reach over a picture's edge
            for mark in column.marks[row] if column.marks else []:
                _draw_mark(axes, mark, MARK_HEIGHT * max(shown.shape[0] / cell_height, shown.shape[1] / CELL))
            if below:
                figure.text(middle, (bottom - 0.03) / height, below[row], ha="center", va="top", **text)
    with any_script():
        figure.savefig(output, format="png", pil_kwargs={"optimize": True})


def _draw_mark(axes: Axes, mark: Mark, text_height: float) -> None:
    """Draw a mark over a picture; its text, so many pixels high, stands above it, or below it where there is no room.

    Marks that are smaller than a text have none, which would hide them and their neighbours.
    """
    colour = PALETTE[mark.colour % len(PALETTE)]
    x, y = mark.xy.T - 0.5  # the middle of a pixel is a whole number to matplotlib
    if mark.is_line:
        axes.fill(x, y, fill=False, edgecolor=colour, linewidth=LINE_WIDTH)
    else:
        face = colour if mark.is_filled else "none"
        axes.scatter(x, y, s=POINT_SIZE**2, facecolors=face, edgecolors=[colour], linewidths=0.7)
    if mark.text and max(np.ptp(x), np.ptp(y)) >= text_height:
        left, top, bottom = max(float(x.min()), 0.0), float(y.min()), float(y.max())
        is_above, has_room = top >= text_height, bottom + text_height < axes.get_ylim()[0]
        at, va = (top, "bottom") if is_above else (bottom, "top") if has_room else (top, "top")
        box = {"facecolor": colour, "edgecolor": "none", "pad": 0.4}
        axes.text(left, at, mark.text, fontsize=MARK_FONT_SIZE, va=va, bbox=box, parse_math=False, clip_on=True)


def _aspect(picture: np.ndarray) -> float:
    return picture.shape[0] / picture.shape[1]


def _wrap(text: str, width: float) -> list[str]:
    """Lines of at most `width` inches."""
    return [part for line in text.splitlines() for part in textwrap.wrap(line, max(1, int(width * CHARACTERS / CELL)))]


def _caption(text: str) -> str:
    """Some lines for each line of `text`; of a first one of two, which is a name, the end."""
    first, _, rest = text.rpartition("\n")
    name = first if len(first) <= CHARACTERS else f"…{first[1 - CHARACTERS :]}"
    lines = textwrap.wrap(rest, CHARACTERS, max_lines=CAPTION_LINES, placeholder=" …", break_long_words=True)
    return "\n".join([*([name] if name else []), *lines])
