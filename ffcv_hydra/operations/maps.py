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
        sources: int64 (P, N), if several images are put into each one: which of the N they are; matrices are then
            (P, N, 2, 3), those of each.
        windows: int64 (P, N, 4), then: left, top, right, bottom of where each can be seen.
    """

    matrices: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    centres: np.ndarray | None = None
    sources: np.ndarray | None = None
    windows: np.ndarray | None = None


def turned(count: int, group_size: int) -> np.ndarray:
    """int64 (group_size, N): for each of N images those of its group, itself first; a last group may be smaller."""
    places = np.arange(count)
    begins = places // group_size * group_size
    return begins + (places - begins + np.arange(group_size)[:, None]) % np.minimum(group_size, count - begins)


def spread(values: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """(P * K, N, ...): of the images `sources`, int64 (P, N), that are put into one, what is known of K in each.

    Args:
        values: (K, N, ...), before they are put into one.
        sources: of `Maps`.
    """
    return values[:, sources].swapaxes(0, 1).reshape(-1, *values.shape[1:])


def upright(
    scale_x: np.ndarray | float, scale_y: np.ndarray | float, shift_x: np.ndarray, shift_y: np.ndarray
) -> np.ndarray:
    """float64 (N, 2, 3): x goes to scale_x x + shift_x, and y likewise; shifts are (N,), scales too, or one for all."""
    matrices = np.zeros((len(shift_x), 2, 3))
    matrices[:, 0, 0], matrices[:, 0, 2] = scale_x, shift_x
    matrices[:, 1, 1], matrices[:, 1, 2] = scale_y, shift_y
    return matrices
