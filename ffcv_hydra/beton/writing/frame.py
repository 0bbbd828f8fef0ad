"""The image that a sample's boxes, points and polygons lie in: they shrink as it does, and are told of if outside.

Where there are several, as a depth beside the colours, they lie in all of these if all have one size; nobody says more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.image_encoding import shrunk_size
from ffcv_hydra.beton.fields.image_fields import MaskField, OwnImageField
from ffcv_hydra.beton.fields.places import PlacesField, fitting
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.errors import ConversionError

OVERHANG = 1.0  # pixels: how far places may be outside by the rounding of whoever wrote them


def pictures_of(fields: Sequence[Field]) -> dict[int, Field]:
    """The fields of images that places in these may lie in, by their positions; none if there are no places."""
    if not any(isinstance(field, PlacesField) for field in fields):
        return {}
    is_picture = [isinstance(field, RGBImageField | OwnImageField) and type(field) is not MaskField for field in fields]
    return {position: field for position, field in enumerate(fields) if is_picture[position]}


class Framing:
    """Meanwhile, places that are encoded are fitted to the pictures of their sample.

    Args:
        pictures: The fields of these, by their positions in the sample.
        sample: What the dataset gives.
        told: Is given what there is to tell of places outside, a line or none for each field.
    """

    def __init__(self, pictures: Mapping[int, Field], sample: Sequence[Any], told: list[str]) -> None:
        self._pictures, self._sample, self._told = pictures, sample, told

    def __enter__(self) -> None:
        self._token = fitting.set(self._fitted)

    def __exit__(self, *_: object) -> None:
        fitting.reset(self._token)

    def _fitted(self, field: PlacesField, items: np.ndarray) -> np.ndarray:
        frame = common_frame([frame_of(picture, self._sample[place]) for place, picture in self._pictures.items()])
        if frame is None:
            return items
        self._told += frame.outside(field, items)
        return frame.fitted(field, items)


@dataclass(frozen=True)
class Frame:
    """An image of a sample.

    Attributes:
        size: width and height in pixels, as the dataset gives it.
        stored: the same of what is stored.
    """

    size: tuple[int, int]
    stored: tuple[int, int]

    def fitted(self, field: PlacesField, items: np.ndarray) -> np.ndarray:
        """Items of a sample, (n, *field.item_shape), as the image is stored."""
        if self.stored == self.size:
            return items
        return field.scaled(items, np.array(self.stored, dtype=np.float64) / self.size)

    def outside(self, field: PlacesField, items: np.ndarray) -> list[str]:
        """What there is to tell of items that reach over the image: a line, or none."""
        places = field.extremes(items)
        width, height = self.size
        right, bottom = places.max(axis=0, initial=0)
        if places.min(initial=0) >= -OVERHANG and right - width <= OVERHANG and bottom - height <= OVERHANG:
            return []  # which is fast
        found = np.flatnonzero((np.maximum(-places, places - self.size) > OVERHANG).any(axis=1))
        x, y = places[found[0]]
        return [f"x {x:g}, y {y:g} is outside of the image, which is {width} x {height} pixels"]


def frame_of(field: Field, image: Any) -> Frame | None:
    """That of an image of a field; None of what is stored already, or is no image."""
    if isinstance(image, Image.Image):
        width, height = image.size
    elif isinstance(image, np.ndarray) and image.ndim > 1:
        height, width = image.shape[:2]
    else:
        return None
    stored = shrunk_size(height, width, getattr(field, "max_resolution", None))
    return Frame((width, height), (stored[1], stored[0]))


def common_frame(frames: Sequence[Frame | None]) -> Frame | None:
    """The frame of all pictures of a sample; None if they have several, and none of these shrinks.

    Raises:
        ConversionError: one shrinks otherwise than another, and places may lie in either.
    """
    if len(set(frames)) == 1:
        return frames[0]
    shrinking = next((frame for frame in frames if frame is not None and frame.stored != frame.size), None)
    if shrinking is not None:
        (width, height), stored = shrinking.size, shrinking.stored
        raise ConversionError(
            f"these places may be in any of {len(frames)} pictures, one of which shrinks from {width} x {height} to "
            f"{stored[0]} x {stored[1]} pixels and another not so; give all one size and one max_resolution, or none"
        )
    return None
