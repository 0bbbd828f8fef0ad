"""RGB images whose crops can be decoded without the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ffcv.fields.rgb_image import IMAGE_MODES, RGBImageField

from ffcv_hydra.beton.fields.restart_index import with_random_access


class RandomAccessImageField(RGBImageField):
    """FFCV's RGB image field, with restart markers and their index in what it stores as JPEG.

    For FFCV the beton has an ordinary `RGBImageField`, as which it is read back: an image says itself that it has an
    index. The coefficients of source JPEGs stay what they are; see `with_random_access` for those that get no index.

    Args:
        write_mode, max_resolution, smart_threshold, jpeg_quality, compress_probability: as FFCV's.
        random_access: False to store JPEGs as FFCV does.
        background: Red, green and blue, 0 to 255, to put behind transparent pixels. None: images with such are refused.
    """

    def __init__(
        self,
        write_mode: str = "raw",
        max_resolution: int | None = None,
        smart_threshold: int | None = None,
        jpeg_quality: int = 90,
        compress_probability: float = 0.5,
        random_access: bool = True,
        background: Sequence[int] | None = None,
    ) -> None:
        super().__init__(write_mode, max_resolution, smart_threshold, jpeg_quality, compress_probability)
        self.random_access = random_access
        self.background = background

    def encode(self, destination: np.ndarray, image: Any, malloc: Callable[[int], tuple[int, np.ndarray]]) -> None:
        """FFCV's hook: store one image, uint8 (H, W, 3)."""
        encoded = np.empty(0, dtype=np.uint8)

        def keep(size: int) -> tuple[int, np.ndarray]:
            nonlocal encoded
            encoded = np.empty(size, dtype=np.uint8)
            return 0, encoded

        super().encode(destination, image, keep)
        if self.random_access and destination["mode"] == IMAGE_MODES["jpg"]:
            indexed = with_random_access(encoded)
            encoded = encoded if indexed is None else indexed
        destination["data_ptr"], storage = malloc(encoded.nbytes)
        storage[:] = encoded


RGB_FIELDS = (RGBImageField, RandomAccessImageField)  # what is an RGB image to FFCV; not users' own subclasses
