"""Places in images, any number per sample: boxes, groups of points, polygons; in pixels of the image as it is stored.

Pixel i of a row covers [i, i + 1), so that a box around a whole image of 40 x 30 pixels is 0, 0, 40, 30.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.beton.fields.base import Malloc
from ffcv_hydra.beton.fields.coercion import dense_tensor, describe_value
from ffcv_hydra.beton.fields.ragged_field import RaggedArrayField, name_of_followed
from ffcv_hydra.errors import ConversionError
from ffcv_hydra.kernels.geometry.polygons import BOXES
from ffcv_hydra.loaded_torch import is_tensor, tv_tensor_kind

BOX_FORMATS = ("xyxy", "xywh", "cxcywh")
HIDDEN, VISIBLE = 1, 2  # of points; 0: not labelled
MAX_POINTS = 1 << 16

# What makes items in the image of a dataset those in the image as it is stored. Not an argument: FFCV's `encode` has
# none for it, and a class that is derived from these may have its own.
fitting: ContextVar[Callable[[PlacesField, np.ndarray], np.ndarray] | None] = ContextVar("fitting", default=None)


class PlacesField(RaggedArrayField):
    """Base: float32 items of one shape that say where something is in an image."""

    holds_places: ClassVar[bool] = True
    dtype = np.dtype(np.float32)

    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """FFCV's hook: store a sample's places, in its image. Raises `ConversionError` if they are none."""
        fit, items = fitting.get(), self.items(value)
        super().encode(destination, items if fit is None else fit(self, items), malloc)

    @abstractmethod
    def items(self, value: Any) -> np.ndarray:
        """float32 (n, *item_shape): what is stored of a value; raises `ConversionError` if it does not fit."""

    @abstractmethod
    def scaled(self, items: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Items in an image that is larger by `factors`, float64 (2,), of its width and its height."""

    @abstractmethod
    def extremes(self, items: np.ndarray) -> np.ndarray:
        """float32 (m, 2): x and y of points that are in an image if the items are."""


class BoundingBoxesField(PlacesField):
    """Boxes (n, 4), any n from 0 on: arrays, tensors or lists of floats or integers.

    Args:
        format: `xyxy` (left, top, right, bottom), `xywh` (left, top, width, height) or `cxcywh` (centre, width,
            height).

    Raises:
        ConversionError: if the format is another one.
    """

    kind = "boxes"
    item_shape = (4,)

    def __init__(self, format: str = "xyxy") -> None:
        if format not in BOX_FORMATS:
            raise ConversionError(f"BoundingBoxesField: format is {format!r}; use {', '.join(BOX_FORMATS)}")
        self.format = format

    def parameters(self) -> dict[str, Any]:
        """The format."""
        return {"format": self.format}

    def description(self) -> str:
        """As `boxes float32 (n, 4) xyxy`."""
        return f"{super().description()} {self.format}"

    def items(self, value: Any) -> np.ndarray:
        """float32 (n, 4). Raises `ConversionError` for anything but boxes of this format."""
        if tv_tensor_kind(value) == "BoundingBoxes" and value.format.value.lower() != self.format:
            raise ConversionError(f"expected boxes of format {self.format}, got {value.format.value.lower()} ones")
        boxes = _finite(value, "(n, 4)", [4])
        x, y, z, w = boxes.T  # the last two are right and bottom, or width and height
        wrong = np.flatnonzero((z < x) | (w < y) if self.format == "xyxy" else (z < 0) | (w < 0))
        if wrong.size:
            what = "x2 < x1 or y2 < y1" if self.format == "xyxy" else "a width or height below 0"
            raise ConversionError(f"box {wrong[0]} is {boxes[wrong[0]].tolist()}: {what}, as {self.format} has them")
        return boxes

    def scaled(self, items: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Larger boxes, of the same format."""
        return (items * np.tile(factors, 2)).astype(np.float32)

    def extremes(self, items: np.ndarray) -> np.ndarray:
        """The upper left and the lower right corners."""
        first, second = items[:, :2], items[:, 2:]
        if self.format == "cxcywh":
            first = first - second / 2
        return np.concatenate([first, second if self.format == "xyxy" else first + second])


class KeypointsField(PlacesField):
    """Groups of points (n, num_points, 3): x, y and visibility, as COCO has it: 0 not labelled, 1 hidden, 2 visible.

    Takes arrays, tensors or lists of floats or integers; of (n, num_points, 2) all points are visible. If groups are
    single points, that axis may be left out.

    Args:
        num_points: of a group, such as a person.
        mirrored: pairs of points that are each other's in a mirror, as left and right eye are, [[1, 2], [3, 4]]: where
            an image is mirrored, they change places.
        follows: the field of boxes that groups go with, one each; groups of boxes that are dropped are, too.

    Raises:
        ConversionError: if an argument is impossible.
    """

    kind = "keypoints"

    def __init__(self, num_points: int = 1, mirrored: Sequence[Sequence[int]] = (), follows: str | None = None) -> None:
        if type(num_points) is not int or not 1 <= num_points <= MAX_POINTS:
            raise ConversionError(f"KeypointsField: num_points is {num_points!r}; use a number from 1 to {MAX_POINTS}")
        self.num_points = num_points
        self.item_shape = (num_points, 3)
        self.mirrored = _pairs(mirrored, num_points)
        self.follows = name_of_followed("KeypointsField", follows)

    def parameters(self) -> dict[str, Any]:
        """All arguments that are set."""
        found: dict[str, Any] = {"num_points": self.num_points}
        return found | ({"mirrored": self.mirrored} if self.mirrored else {}) | self._followed()

    def items(self, value: Any) -> np.ndarray:
        """float32 (n, num_points, 3). Raises `ConversionError` for anything else."""
        shape = f"(n, {self.num_points}, 3)"
        points = _finite(value, shape, [self.num_points, 3], [self.num_points, 2], *[[3], [2]] * (self.num_points == 1))
        points = points.reshape(len(points), self.num_points, points.shape[-1])
        if points.shape[-1] == 2:
            points = np.concatenate([points, np.full((*points.shape[:2], 1), VISIBLE, dtype=np.float32)], axis=2)
        if not np.isin(points[..., 2], (0, HIDDEN, VISIBLE)).all():
            wrong = int(np.flatnonzero(~np.isin(points[..., 2], (0, HIDDEN, VISIBLE)).all(axis=1))[0])
            raise ConversionError(
                f"group {wrong} has a visibility other than 0 (not labelled), 1 (hidden), 2 (visible)"
            )
        return points

    def scaled(self, items: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Points farther apart."""
        return (items * [*factors, 1]).astype(np.float32)

    def extremes(self, items: np.ndarray) -> np.ndarray:
        """Those that are labelled."""
        return items[items[..., 2] > 0][:, :2]


class PolygonsField(PlacesField):
    """Polygons: a list of arrays (k, 2) of x and y, k from 1 on; any number of them.

    Stored as one row per corner, (n, 3): number of the polygon, x, y. Of polygons that follow boxes a value is a list
    with a list of polygons for each box, of 65,536 at most, and a row, (n, 4), begins with the number of the box.

    Args:
        follows: the field of boxes that lists of polygons go with, one each; those of boxes that are dropped are, too.

    Raises:
        ConversionError: if that is no name.
    """

    is_one_each: ClassVar[bool] = False
    kind = "polygons"

    def __init__(self, follows: str | None = None) -> None:
        self.follows = name_of_followed("PolygonsField", follows)
        self.item_shape = (3,) if follows is None else (4,)

    def parameters(self) -> dict[str, Any]:
        """The field that is followed, if there is one."""
        return self._followed()

    def num_owners(self, value: Any, metadata: np.ndarray) -> int:
        """How many boxes the polygons of a sample are of."""
        return len(value)

    def items(self, value: Any) -> np.ndarray:
        """float32 (n, 3) or (n, 4). Raises `ConversionError` for anything but lists of corners' places."""
        if self.follows is None:
            return _corners(value, "")
        if not isinstance(value, (list, tuple)):
            raise ConversionError(f"expected a list of polygons for each box, got {describe_value(value)}")
        if len(value) > BOXES:
            raise ConversionError(f"polygons of {len(value):,} boxes, which can be {BOXES:,} at most; use fewer")
        of_boxes = [_corners(polygons, f"box {number}: ") for number, polygons in enumerate(value)]
        rows = [np.insert(corners, 0, number, axis=1) for number, corners in enumerate(of_boxes)]
        return np.concatenate([np.empty((0, 4), dtype=np.float32), *rows])

    def scaled(self, items: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Larger polygons."""
        return np.concatenate([items[:, :-2], items[:, -2:] * factors], axis=1, dtype=np.float32)

    def extremes(self, items: np.ndarray) -> np.ndarray:
        """The corners."""
        return items[:, -2:]


def _corners(polygons: Any, where: str) -> np.ndarray:
    """float32 (n, 3) of a list of polygons; errors begin with `where`."""
    if not isinstance(polygons, (list, tuple)):
        raise ConversionError(f"{where}expected a list of arrays of shape (k, 2), got {describe_value(polygons)}")
    rows = [np.empty((0, 3), dtype=np.float32)]
    for number, polygon in enumerate(polygons):
        try:
            corners = _finite(polygon, "(k, 2)", [2])
        except ConversionError as error:
            raise ConversionError(f"{where}polygon {number}: {error}") from error
        if len(corners) == 0:
            raise ConversionError(f"{where}polygon {number} has no corners; leave it out")
        rows.append(np.insert(corners, 0, number, axis=1))
    return np.concatenate(rows)


def _pairs(pairs: Any, num_points: int) -> list[list[int]]:
    """Lists of two different points, none of which comes again."""
    try:
        found = [[int(place) for place in pair] for pair in pairs]
    except (TypeError, ValueError):
        found = [[]]
    places = [place for pair in found for place in pair]
    is_right = all(len(pair) == 2 for pair in found) and len(set(places)) == len(places)
    if not is_right or not all(0 <= place < num_points for place in places):
        raise ConversionError(
            f"KeypointsField: mirrored is {pairs!r}; use pairs of numbers from 0 to {num_points - 1}, each once"
        )
    return found


def _finite(value: Any, expected: str, *shapes: Sequence[int]) -> np.ndarray:
    """float32 (n, *shape) of one of some shapes.

    Raises:
        ConversionError: it has another shape, is no floats or integers, or some are not finite.
    """
    numbers, wanted = value, f"numbers of shape {expected}"
    if is_tensor(value):
        numbers = dense_tensor(value, wanted)
        numbers = (numbers.double() if numbers.is_floating_point() else numbers).numpy()
    elif isinstance(value, (list, tuple)):
        try:
            numbers = np.asarray(value)
        except ValueError as error:  # lists of different lengths
            raise ConversionError(f"expected {wanted}, got lists of different lengths") from error
    if isinstance(numbers, np.ndarray) and numbers.shape == (0,):  # what an empty list becomes
        numbers = np.empty((0, *shapes[0]), dtype=np.float32)
    is_of_numbers = isinstance(numbers, np.ndarray) and numbers.dtype.kind in "iuf"
    if not is_of_numbers or numbers.ndim == 0 or list(numbers.shape[1:]) not in [list(shape) for shape in shapes]:
        raise ConversionError(f"expected {wanted}, got {describe_value(numbers)}")
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(numbers, dtype=np.float32)
    if not np.isfinite(found).all():
        wrong = int(np.flatnonzero(~np.isfinite(found).reshape(len(found), -1).all(axis=1))[0])
        raise ConversionError(f"item {wrong} is {numbers[wrong].tolist()}, which is not finite; leave it out")
    return found
