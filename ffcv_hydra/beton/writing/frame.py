"""The image that a sample's boxes, points and polygons lie in: they shrink as it does, and are told of if outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.image_encoding import shrunk_size
from ffcv_hydra.beton.fields.image_fields import MaskField, OwnImageField
from ffcv_hydra.beton.fields.places import PlacesField
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField

OVERHANG = 1.0  # pixels: how far places may be outside by the rounding of whoever wrote them


def frame_field(fields: Sequence[Field]) -> int | None:
    """Which one is the field of images, if there are places in these; None without, and where several may be meant."""
    is_picture = [isinstance(field, RGBImageField | OwnImageField) and type(field) is not MaskField for field in fields]
    has_places = any(isinstance(field, PlacesField) for field in fields)
    return is_picture.index(True) if has_places and sum(is_picture) == 1 else None


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
        found = np.flatnonzero((np.maximum(-places, places - self.size) > OVERHANG).any(axis=1))
        if not found.size:
            return []
        x, y = places[found[0]]
        return [f"x {x:g}, y {y:g} is outside of the image, which is {self.size[0]} x {self.size[1]} pixels"]


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
