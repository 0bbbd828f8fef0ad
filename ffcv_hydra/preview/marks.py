"""From boxes, points and polygons, as they are stored or as a pipeline gave them, to what is drawn over pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ffcv_hydra.beton import Beton, BoundingBoxesField, PolygonsField, RaggedArrayField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.places import VISIBLE, PlacesField
from ffcv_hydra.loader.plan.request import Request
from ffcv_hydra.preview.stored import in_words

LABELS = "labels"  # what datasets call the field of the classes of boxes


@dataclass(frozen=True)
class Mark:
    """A closed line, or points.

    Attributes:
        xy: float (k, 2), in pixels of the picture; pixel i covers [i, i + 1).
        colour: number of one.
        is_line: whether it is a closed line through them.
        is_filled: whether points are full; hidden ones are rings.
        text: that stands at the first of them.
    """

    xy: np.ndarray
    colour: int
    is_line: bool = False
    is_filled: bool = True
    text: str = ""

    def scaled(self, factor: float) -> "Mark":
        """For a picture of another size."""
        return replace(self, xy=self.xy * factor)


@dataclass(frozen=True)
class Places:
    """An output of boxes, points or polygons.

    Attributes:
        request: of the output.
        field: whose places they are.
        classes: the request of the output that has their classes, if there is one.
    """

    request: Request
    field: PlacesField
    classes: Request | None

    @property
    def reads(self) -> dict[str, str]:
        """By the outputs that are needed, the fields that they read."""
        return {one.output: str(one.reads) for one in (self.request, self.classes) if one is not None}

    def marks(
        self, outputs: Mapping[str, Any], class_names: Sequence[str] | None, view: int | None = None
    ) -> list[list[Mark]]:
        """For each sample, its marks; empty if the output is not as the field's default pipeline gives it.

        Args:
            outputs: of the batch, by name.
            class_names: by number, if there are any.
            view: which one of several to take.
        """
        places, classes = (
            None if one is None else _rows(outputs[one.output], view) for one in (self.request, self.classes)
        )
        if places is None or any(row.shape[1:] != self.field.item_shape for row in places):
            return []
        if classes is None or (self.field.is_one_each and list(map(len, classes)) != list(map(len, places))):
            return [_marks(self.field, row, None, None) for row in places]
        return [_marks(self.field, *both, class_names) for both in zip(places, classes, strict=True)]


def places_of(requests: Sequence[Request], beton: Beton) -> list[Places]:
    """The outputs of boxes, points and polygons, in their order."""
    of_field = {one.reads: one for one in requests if isinstance(one.reads, str)}
    found = []
    for one in requests:
        name = one.reads if isinstance(one.reads, str) else ""  # else it starts from another pipeline's result
        field = beton.fields.get(name)
        if isinstance(field, PlacesField):
            boxes = name if isinstance(field, BoundingBoxesField) else getattr(field, "follows", None)
            found.append(Places(one, field, of_field.get(_classes(beton.fields, boxes) or "")))
    return found


def _classes(fields: Mapping[str, Field], boxes: str | None) -> str | None:
    """The field of the boxes' classes: `labels`, or else the only one of whole numbers that goes with them."""
    found = [
        name
        for name, field in fields.items()
        if isinstance(field, RaggedArrayField) and field.dtype.kind in "iu" and field.item_shape == ()
        and boxes is not None and field.follows == boxes
    ]  # fmt: skip
    return LABELS if LABELS in found else found[0] if len(found) == 1 else None


def _rows(batch: Any, view: int | None) -> list[np.ndarray] | None:
    """Of each sample, its items; None for what has no lengths and is no list of tensors."""
    if view is not None:
        batch = batch[view]
    if hasattr(batch, "lengths"):
        batch = [data[:length] for data, length in zip(batch.data, batch.lengths.tolist(), strict=True)]
    if not isinstance(batch, list) or not all(hasattr(row, "numpy") for row in batch):
        return None
    return [row.cpu().numpy() for row in batch]


def _marks(
    field: PlacesField, places: np.ndarray, classes: np.ndarray | None, class_names: Sequence[str] | None
) -> list[Mark]:
    """The marks of one sample, from its items (n, *field.item_shape) and the numbers of the boxes' classes."""
    if isinstance(field, PolygonsField):
        polygons = np.unique(places[:, :-2], axis=0)
        numbers = polygons[:, 0].astype(np.int64)
        return [
            Mark(places[(places[:, :-2] == polygon).all(axis=1), -2:], int(colour), is_line=True)
            for polygon, colour in zip(polygons, numbers if classes is None else classes[numbers], strict=True)
        ]
    if isinstance(field, BoundingBoxesField):
        return box_marks(places, classes, class_names)
    colours = [*range(len(places))] if classes is None else classes.tolist()
    return [
        Mark(group[seen, :2], colour, is_filled=is_visible)
        for group, colour in zip(places, colours, strict=True)
        for is_visible in (True, False)
        if (seen := (group[:, 2] == VISIBLE) if is_visible else (group[:, 2] > 0) & (group[:, 2] < VISIBLE)).any()
    ]


def box_marks(
    boxes: np.ndarray,
    classes: np.ndarray | None,
    class_names: Sequence[str] | None,
    notes: Sequence[str] | None = None,
) -> list[Mark]:
    """Those of boxes (n, 4), left, top, right and bottom, with the names of their classes (n,) and notes behind."""
    if classes is None:
        return [Mark(_corners(box), colour, is_line=True) for colour, box in enumerate(boxes)]
    return [
        Mark(_corners(box), number, is_line=True, text=in_words(number, class_names) + note)
        for box, number, note in zip(boxes, classes.tolist(), notes or [""] * len(boxes), strict=True)
    ]


def _corners(box: np.ndarray) -> np.ndarray:
    """float (4, 2): of a box of left, top, right and bottom, from the upper left one on."""
    left, top, right, bottom = box
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
