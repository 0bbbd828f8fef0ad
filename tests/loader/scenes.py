"""Scenes: images that show of each pixel where it is, with boxes, and with points and polygons that go with these."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ffcv_hydra.beton import (
    BoundingBoxesField,
    KeypointsField,
    MaskField,
    PolygonsField,
    RaggedArrayField,
    RandomAccessImageField,
    write_beton,
)
from ffcv_hydra.beton.fields.base import Field

FIELDS = {
    "image": RandomAccessImageField(write_mode="raw"),
    "mask": MaskField(),
    "labels": RaggedArrayField("int64", follows="boxes"),
    "boxes": BoundingBoxesField("xywh"),
    "corners": KeypointsField(2, [[0, 1]], follows="boxes"),
    "points": KeypointsField(2),
    "outlines": PolygonsField(),
    "parts": PolygonsField(follows="boxes"),
}


def scene(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Height and width, and up to three boxes that share no pixel, as corners, int64 (n, 4)."""
    random = np.random.default_rng(index)
    size = random.integers(60, 120, 2)
    height, width = random.integers(8, [[size[0] // 2], [size[1] // 3 - 3]], (2, 3))
    top, left = random.integers(0, [size[0] - height, size[1] // 3 - 3 - width])
    left += np.arange(3) * size[1] // 3 + 2
    return size, np.stack([left, top, left + width, top + height], axis=1)[: index % 4]


def numbers_of(index: int) -> np.ndarray:
    """int64 (n,): what the boxes of a scene are in its mask: from 1 on, other ones for each of four scenes."""
    return 3 * (index % 4) + np.arange(index % 4) + 1


class Scenes:
    """What `FIELDS` say: red is x and green y, from 1 on, and blue nothing; places are the corners of boxes.

    Labels are what boxes are in the mask, and 100 times the scene. Each box has one to three parts like itself.

    Args:
        count: of the scenes.
        names: of the fields, in their order.
        first: the number of the first scene.
        has_boxes: whether there are any.
    """

    def __init__(
        self, count: int, names: Collection[str] = tuple(FIELDS), first: int = 0, has_boxes: bool = True
    ) -> None:
        self.count, self.names, self.first, self.has_boxes = count, names, first, has_boxes

    @property
    def fields(self) -> dict[str, Field]:
        """Those that are stored, by name."""
        return {name: FIELDS[name] for name in self.names}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        index += self.first
        (height, width), boxes = scene(index)
        boxes, numbers = (values if self.has_boxes else values[:0] for values in (boxes, numbers_of(index)))
        rows, columns = np.mgrid[:height, :width]
        mask = np.zeros((height, width), dtype=np.uint8)
        for number, (left, top, right, bottom) in zip(numbers, boxes, strict=True):
            mask[top:bottom, left:right] = number
        corners = boxes.reshape(-1, 2, 2)
        outlines = [[(left, top), (right, top), (right, bottom), (left, bottom)] for left, top, right, bottom in boxes]
        values = {
            "image": np.stack([columns + 1, rows + 1, np.zeros_like(rows)], axis=2).astype(np.uint8),
            "mask": mask,
            "labels": 100 * index + numbers,
            "boxes": np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1),
            "corners": corners,
            "points": corners,
            "outlines": outlines,
            "parts": [[outline] * (1 + index % 3) for outline in outlines],
        }
        return tuple(values[name] for name in self.names)


def write_scenes(path: Path, scenes: Scenes) -> Path:
    """A beton of scenes."""
    write_beton(scenes, path, scenes.fields, num_workers=0)
    return path


class Scene(NamedTuple):
    """Places anywhere in an image of a size of its own; masks say from where in which scene pixels are, from 1 on."""

    image: np.ndarray
    columns: np.ndarray
    rows: np.ndarray
    whose: np.ndarray
    boxes: np.ndarray
    numbers: np.ndarray
    points: np.ndarray
    outlines: list[np.ndarray]
    parts: list[list[np.ndarray]]


def random_scene(index: int) -> Scene:
    """Boxes of even scenes have whole sides; some points are not labelled."""
    random = np.random.default_rng(index)
    size = random.integers(30, 180, 2)
    rows, columns = (np.mgrid[: size[0], : size[1]] + 1).astype(np.uint8)
    ends = np.sort(random.uniform(0, size[::-1], (index % 4, 2, 2)), axis=1)
    ends[:, 1] = np.minimum(ends[:, 1] + 3, size[::-1])
    boxes = (np.round(ends) if index % 2 == 0 else ends).reshape(-1, 4)
    points = np.concatenate([random.uniform(0, size[::-1], (3, 2, 2)), random.integers(0, 3, (3, 2, 1))], axis=2)
    outlines = [random.uniform(0, size[::-1], (corners, 2)) for corners in random.integers(3, 7, index % 3)]
    parts = [list(random.uniform(0, size[::-1], (number, 3, 2))) for number in range(len(boxes))]
    image, whose = np.repeat(columns[..., None], 3, axis=2), np.full_like(rows, index + 1)
    numbers = 10 * index + np.arange(len(boxes))
    return Scene(image, columns, rows, whose, boxes, numbers, points, outlines, parts)
