"""What torchvision's functions make of places in images, by the parameters that operations of this package draw."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional

from ffcv_hydra import operations as o
from ffcv_hydra.kernels.images import auto_augment
from ffcv_hydra.operations import Extents
from ffcv_hydra.operations.auto_augment import AutoAugmentation, magnitude_table
from tests.kernels.images.test_auto_augment import draw
from tests.loader.scenes import Scene

Step = Callable[[Any], Any]


def steps_of(
    operation: Any, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None, stored_boxes: Extents
) -> list[list[Step]]:
    """Per sample, what torchvision does to places by the parameters that an operation draws."""
    if isinstance(operation, o.ImageDecoder):
        boxes, placed, *_ = operation.parts(heights, widths, keys, stored_boxes)
        return [
            [_decoding(*one, *operation.output_size)]
            for one in np.concatenate([boxes, np.broadcast_to(placed, boxes.shape)], axis=1).tolist()
        ]
    matrices, tall, wide, *_ = operation.maps(heights, widths, keys)
    if isinstance(operation, AutoAugmentation):
        bins, count = operation.num_magnitude_bins, operation.num_ops
        chosen, magnitudes = np.empty((len(keys), count), dtype=np.int64), np.empty((len(keys), count))
        table = magnitude_table(operation.space, bins, int(heights[0]), int(widths[0])).ravel()
        draw(keys, operation.magnitude, table, bins, chosen, magnitudes)
        return [[_policy(*one) for one in zip(*row, strict=True)] for row in zip(chosen, magnitudes, strict=True)]
    return [[_step(operation, *one)] for one in zip(matrices, tall.tolist(), wide.tolist(), strict=True)]


def steps_of_mosaic(operation: o.Mosaic, height: int, width: int, keys: np.ndarray) -> list[list[Step]]:
    """What becomes of the places in each of the four images of each sample: (4, N)."""
    matrices, tall, wide, *_ = operation.maps(*(np.full(len(keys), side) for side in (height, width)), keys)
    return [
        [
            _decoding(0, 0, height, width, *one, int(tall[0]), int(wide[0]))
            for one in np.stack(
                [of_part[:, 1, 1] * height, of_part[:, 0, 0] * width, -of_part[:, 1, 2], -of_part[:, 0, 2]], axis=1
            ).round().astype(int).tolist()
        ]
        for of_part in matrices
    ]  # fmt: skip


def _decoding(top, left, height, width, high, wide, above, before, *size) -> Step:  # noqa: PLR0913
    def step(places: Any) -> Any:
        resized = functional.resize(functional.crop(places, top, left, height, width), [high, wide])
        return functional.crop(resized, above, before, *size)

    return step


def _policy(chosen: int, magnitude: float) -> Step:
    shear, shift = float(np.degrees(np.arctan(magnitude))), int(magnitude)
    affine = {
        auto_augment.SHEAR_X: (0.0, [0, 0], 1.0, [shear, 0.0]),
        auto_augment.SHEAR_Y: (0.0, [0, 0], 1.0, [0.0, shear]),
        auto_augment.TRANSLATE_X: (0.0, [shift, 0], 1.0, [0.0, 0.0]),
        auto_augment.TRANSLATE_Y: (0.0, [0, shift], 1.0, [0.0, 0.0]),
    }.get(chosen)
    if affine is not None:
        return lambda places: functional.affine(places, *affine, center=[0, 0])
    return lambda places: functional.rotate(places, magnitude) if chosen == auto_augment.ROTATE else places


def _step(operation: Any, matrix: np.ndarray, height: int, width: int) -> Step:
    if isinstance(operation, o.RandomHorizontalFlip):
        # of points torchvision makes width - 1 - x
        return lambda places: places if matrix[0, 0] > 0 else _shifted(functional.horizontal_flip(places), 0)
    if isinstance(operation, o.RandomVerticalFlip):
        return lambda places: places if matrix[1, 1] > 0 else _shifted(functional.vertical_flip(places), 1)
    if isinstance(operation, (o.RandomCrop, o.RandomTranslate)):
        return lambda places: functional.crop(places, -int(matrix[1, 2]), -int(matrix[0, 2]), height, width)
    if isinstance(operation, o.RandomRotation):
        return lambda places: functional.rotate(places, operation.degrees[0])
    middle = np.array([width / 2, height / 2])
    shift = (matrix[:, :2] @ middle + matrix[:, 2] - middle).round().astype(int).tolist()
    shears = [operation.shear[0], operation.shear[2]]
    return lambda places: functional.affine(places, operation.degrees[0], shift, operation.scale[0], shears)


def _shifted(places: Any, axis: int) -> Any:
    if not isinstance(places, tv_tensors.KeyPoints):
        return places
    shifted = places.as_subclass(torch.Tensor).clone()
    shifted[..., axis] += 1
    return tv_tensors.wrap(shifted, like=places)


class Thing(NamedTuple):
    """Corners of a box or a polygon, or points.

    Attributes:
        places: float64 (S + 1, K, 2), before and after each step, not clipped.
        inside: bool (S + 1, K), whether they are in the image then.
    """

    places: np.ndarray
    inside: np.ndarray

    @property
    def around(self) -> np.ndarray:
        """Left, top, right, bottom of what they are moved to."""
        return np.concatenate([self.places[-1].min(axis=0), self.places[-1].max(axis=0)])


class Way(NamedTuple):
    """What torchvision's functions make of places in one image, step by step.

    Attributes:
        boxes: their corners.
        points: of all groups.
        outlines, parts: the corners of polygons; parts of one box after another.
        matrix: float64 (2, 2), of all steps.
        last_turn: the last step behind which upright boxes are not; -1 if there is none.
        turns: the number of such steps.
        reach: how far off pixels may be, since each step takes the nearest, in pixels of the outcome.
        is_mirrored: whether the outcome is.
    """

    boxes: list[Thing]
    points: Thing
    outlines: list[Thing]
    parts: list[Thing]
    matrix: np.ndarray
    last_turn: int
    turns: int
    reach: float
    is_mirrored: bool


def way_of(one: Scene, steps: list[Step]) -> Way:
    """The way of all places in a scene."""
    axes, corners = np.array([[0.0, 0], [1, 0], [0, 1]]), one.boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
    shapes = [axes, *corners, one.points[..., :2].reshape(-1, 2), *one.outlines, *sum(one.parts, [])]
    places = tv_tensors.KeyPoints(torch.from_numpy(np.concatenate(shapes)), canvas_size=one.rows.shape)
    found, inside = [np.asarray(places)], [np.ones(len(places), dtype=bool)]
    linear, turned_at = [np.eye(2)], []
    for step in steps:
        places = step(places)
        found.append(np.asarray(places))
        height, width = places.canvas_size
        inside.append(((found[-1] >= -1e-6) & (found[-1] <= [width + 1e-6, height + 1e-6])).all(1))
        linear.append((found[-1][1:3] - found[-1][0]).T)
        turned_at.append(np.abs(linear[-1] @ np.linalg.inv(linear[-2]))[[0, 1], [1, 0]].max() > 1e-6)
    behind = [np.abs(linear[-1] @ np.linalg.inv(before)) for before in linear]  # what pixels before a step become
    reach = 1e-3 + sum(
        0.51 * max(one.sum(1).max(), other.sum(1).max())
        for one, other in pairwise(behind)
        if np.abs(one - other).max() > 1e-6
    )
    ends = np.cumsum([len(shape) for shape in shapes])[:-1]
    things = list(map(Thing, np.split(np.stack(found), ends, axis=1), np.split(np.stack(inside), ends, axis=1)))[1:]
    of_points, of_parts = len(corners), len(corners) + 1 + len(one.outlines)
    return Way(
        things[:of_points], things[of_points], things[of_points + 1 : of_parts], things[of_parts:], linear[-1],
        max(np.flatnonzero(turned_at), default=-1), sum(turned_at), reach, np.linalg.det(linear[-1]) < 0,
    )  # fmt: skip
