"""Where geometric operations put the places of an image: a map per sample, from pixels before to pixels after."""

from typing import NamedTuple

import numpy as np


class Maps(NamedTuple):
    """What an operation does to the places of N images; pixel i of a row covers [i, i + 1).

    Attributes:
        matrices: float64 (N, 2, 3): (x, y) goes to (m[0, 0] x + m[0, 1] y + m[0, 2], m[1, 0] x + m[1, 1] y + m[1, 2]);
            or (K, N, 2, 3): one after another, and each leaves only what is in the image after it.
        heights, widths: int64 (N,), of the images after it, in pixels; what is mapped beyond is not in them.
        centres: int64 (N, 4), of a decoder: top, left, height, width of the part of each stored image in which a box
            that is kept has its centre; None: anywhere.
    """

    matrices: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    centres: np.ndarray | None = None


def upright(
    scale_x: np.ndarray | float, scale_y: np.ndarray | float, shift_x: np.ndarray, shift_y: np.ndarray
) -> np.ndarray:
    """float64 (N, 2, 3): x goes to scale_x x + shift_x, and y likewise; shifts are (N,), scales too, or one for all."""
    matrices = np.zeros((len(shift_x), 2, 3))
    matrices[:, 0, 0], matrices[:, 0, 2] = scale_x, shift_x
    matrices[:, 1, 1], matrices[:, 1, 2] = scale_y, shift_y
    return matrices
