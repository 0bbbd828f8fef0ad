"""What has to hold for boxes and points that people have marked in pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ffcv_hydra.errors import ConfigError

OVERHANG = 1.0  # pixels: how far a mark may be outside of its image by the rounding of whoever wrote it

Where = Callable[[int], str]
"""What errors call the file and the record of a mark, by the mark's index."""


def fitted_boxes(
    boxes: np.ndarray,
    size: np.ndarray | tuple[float, float],
    clip: bool,
    where: Where,
    overhang: float = OVERHANG,
) -> np.ndarray:
    """Boxes that were checked and clipped to their images.

    Args:
        boxes: float64 (n, 4): x1, y1, x2, y2.
        size: Width and height of the image, or of each box's image, (n, 2).
        clip: Whether boxes may reach over their image as far as they like.
        where: What errors call a box.
        overhang: How far they may without that, in the unit of `size`.

    Returns:
        float32 (n, 4). Those that lie outside of their image, or on a line, have no area.

    Raises:
        ConfigError: a number is none, a width or height is negative, or a box reaches over its image.
    """
    if (bad := _first(~np.isfinite(boxes).all(axis=1))) is not None:
        raise ConfigError(f"{where(bad)}: the box {_plain(boxes[bad])} (x1, y1, x2, y2) is no box; correct it")
    sides = boxes[:, 2:] - boxes[:, :2]
    if (bad := _first((sides < 0).any(axis=1))) is not None:
        raise ConfigError(
            f"{where(bad)}: the box is {sides[bad, 0]:g} wide and {sides[bad, 1]:g} high; correct it, or remove it"
        )
    limits = np.broadcast_to(np.asarray(size, dtype=np.float64), sides.shape)
    limits = np.concatenate([limits, limits], axis=1)
    if not clip and (bad := _first((np.maximum(-boxes, boxes - limits) > overhang).any(axis=1))) is not None:
        raise ConfigError(
            f"{where(bad)}: the box {_plain(boxes[bad])} (x1, y1, x2, y2) reaches over its image of"
            f" {_plain(limits[bad, :2], ' x ')}; correct it, or clip such boxes by dataset.clip=true"
        )
    return np.clip(boxes, 0, limits).astype(np.float32)


def have_area(boxes: np.ndarray) -> np.ndarray:
    """Which boxes are wider and higher than nothing, bool (n,)."""
    return np.asarray((boxes[:, 2:] > boxes[:, :2]).all(axis=1))


def fitted_points(
    points: np.ndarray,
    size: np.ndarray | tuple[float, float],
    clip: bool,
    where: Where,
    overhang: float = OVERHANG,
) -> np.ndarray:
    """Points (n, 2) as float32 that were checked and clipped, as `fitted_boxes` does with boxes."""
    if (bad := _first(~np.isfinite(points).all(axis=1))) is not None:
        raise ConfigError(f"{where(bad)}: the point {_plain(points[bad])} is none; correct it")
    limits = np.broadcast_to(np.asarray(size, dtype=np.float64), points.shape)
    if not clip and (bad := _first((np.maximum(-points, points - limits) > overhang).any(axis=1))) is not None:
        raise ConfigError(
            f"{where(bad)}: the point {_plain(points[bad])} is outside of its image of {_plain(limits[bad], ' x ')};"
            " correct it, or accept such points by dataset.clip=true"
        )
    return np.clip(points, 0, limits).astype(np.float32)


def checked_keypoints(
    keypoints: np.ndarray,
    sizes: np.ndarray | tuple[float, float],
    clip: bool,
    where: Where,
    overhang: float = OVERHANG,
) -> np.ndarray:
    """Keypoints that were checked: x, y and 0 (not labelled), 1 (hidden) or 2 (visible).

    Args:
        keypoints: float64 (n, K, 3).
        sizes, clip, overhang: As for `fitted_boxes`.
        where: What errors call a row of K points.

    Returns:
        float32 (n, K, 3). Of points that are not labelled, x and y are 0; with `clip`, those outside are not labelled.
    """
    count = keypoints.shape[1]
    if (bad := _first(~np.isin(keypoints[..., 2], (0, 1, 2)).all(axis=1))) is not None:
        raise ConfigError(f"{where(bad)}: the visibility of a keypoint is not 0, 1 or 2; correct it")
    limits = np.broadcast_to(np.asarray(sizes, dtype=np.float64), (len(keypoints), 2))[:, None]
    labelled = keypoints[..., 2] > 0
    places = np.where(labelled[..., None], keypoints[..., :2], 0)
    flat = np.broadcast_to(limits, places.shape).reshape(-1, 2)
    fitted = fitted_points(places.reshape(-1, 2), flat, clip, lambda point: where(point // count), overhang)
    outside = (np.maximum(-places, places - limits) > overhang).any(axis=-1)
    seen = np.where(labelled & ~outside, keypoints[..., 2], 0).astype(np.float32)[..., None]
    return np.concatenate([fitted.reshape(places.shape) * (seen > 0), seen], axis=-1)


def _first(bad: np.ndarray | np.bool) -> int | None:
    """The index of the first that is true."""
    return int(np.argmax(bad)) if bad.any() else None


def _plain(numbers: np.ndarray, between: str = ", ") -> str:
    return between.join(f"{number:g}" for number in numbers)
