"""RGB images whose crops can be decoded without the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ffcv_hydra.beton.fields.image_encoding import JPEG
from ffcv_hydra.beton.fields.restart_index import with_random_access
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField


@dataclass(eq=False, repr=False)
class RandomAccessImageField(RGBImageField):
    """FFCV's RGB image field, with restart markers and their index in what it stores as JPEG.

    For FFCV the beton has an ordinary `RGBImageField`, as which it is read back: an image says itself that it has an
    index. The coefficients of source JPEGs stay what they are; see `with_random_access` for those that get no index.

    Args:
        write_mode, max_resolution, smart_threshold, jpeg_quality, compress_probability: as `RGBImageField` has them.
        random_access: False to store JPEGs as FFCV does.
        background: Red, green and blue, 0 to 255, to put behind transparent pixels. None: images with such are refused.
    """

    type_id: ClassVar[int] = RGBImageField.type_id
    called: ClassVar[str] = RGBImageField.called

    random_access: bool = True
    background: Sequence[int] | None = None

    def stored(self, image: np.ndarray) -> tuple[int, tuple[int, int], np.ndarray]:
        """What is stored of an image, as `encode_image` gives it, with an index where it is a JPEG."""
        mode, size, data = super().stored(image)
        indexed = with_random_access(data) if self.random_access and mode == JPEG else None
        return mode, size, data if indexed is None else indexed


RGB_FIELDS = (RGBImageField, RandomAccessImageField)  # what is an RGB image to FFCV; not users' own subclasses
