"""Masks as COCO's format has them in runs (RLE), and the outlines of masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np


def mask_of_runs(counts: Sequence[int] | str, height: int, width: int) -> np.ndarray:
    """The mask, bool (H, W), of runs of pixels that alternately are not in it and are, column by column.

    Args:
        counts: The runs' lengths, as numbers or packed into a text.
        height, width: In pixels.

    Raises:
        ValueError: they are no lengths, or are of another number of pixels.
    """
    lengths = _unpacked(counts) if isinstance(counts, str) else np.asarray(counts)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 0).any():
        raise ValueError("its counts are no lengths of runs")
    if (pixels := sum(lengths.tolist())) != height * width:
        raise ValueError(f"its counts are of {pixels} pixels, not of {height} x {width}")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(width, height).T


def _unpacked(text: str) -> np.ndarray:
    """int64: numbers of five bits a letter, the lowest first, each but the first three less the last but one."""
    lengths: list[int] = []
    number = shift = 0
    for letter in text.encode():
        bits = letter - 48
        if not 0 <= bits < 64:
            raise ValueError("its counts are no packed lengths of runs")
        number |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            number -= (bits & 16) << shift - 4  # the sign
            lengths.append(number + (lengths[-2] if len(lengths) > 2 else 0))
            number = shift = 0
    if shift:
        raise ValueError("its counts end within a number")
    try:
        return np.array(lengths, dtype=np.int64)
    except OverflowError:
        raise ValueError("its counts are more than any mask has pixels") from None


def outlines_of(mask: np.ndarray) -> list[np.ndarray]:
    """The outer outlines, float32 (k, 2) each, of the parts of a mask, bool (H, W), along its pixels' edges.

    Pixels that touch at a corner alone are parts of their own; holes are left out.
    """
    inside = np.pad(mask, 1)
    behind: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)  # of edges, with the mask to their right
    for (down, right), begin, step in (((-1, 0), (0, 0), (1, 0)), ((0, 1), (1, 0), (0, 1)),
                                       ((1, 0), (1, 1), (-1, 0)), ((0, -1), (0, 1), (0, -1))):  # fmt: skip
        rows, columns = np.nonzero(inside & ~np.roll(inside, (-down, -right), axis=(0, 1)))
        for x, y in zip((columns - 1 + begin[0]).tolist(), (rows - 1 + begin[1]).tolist(), strict=True):
            behind[x, y].append(step)
    outlines = []
    while behind:
        place = start = next(iter(behind))
        step = behind[place][0]
        corners: list[tuple[int, int]] = []
        while place in behind:
            steps, before = behind[place], step
            turn = (-step[1], step[0])
            step = turn if turn in steps and corners else steps[0]
            steps.remove(step)
            if not steps:
                del behind[place]
            if step != before or not corners:
                corners.append(place)
            place = place[0] + step[0], place[1] + step[1]
            if place == start:
                break
        outline = np.array(corners, dtype=np.int64)
        following = np.roll(outline, -1, axis=0)
        if (outline[:, 0] * following[:, 1] - following[:, 0] * outline[:, 1]).sum() > 0:
            outlines.append(outline.astype(np.float32))
    return outlines
