"""RGB images, as JPEGs or as they are."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.beton.fields.base import Field, Malloc
from ffcv_hydra.beton.fields.image_encoding import encode_image, store_image


@dataclass(eq=False, repr=False)
class RGBImageField(Field):
    """RGB images of 8 bits, each with a size of its own.

    Args:
        write_mode: `jpg`, `raw`, `smart` (JPEG where the pixels take more than `smart_threshold` bytes), or
            `proportion` (JPEG with `compress_probability`, drawn from NumPy's global generator).
        max_resolution: larger images are shrunk to this longer side, in pixels. None: none is.
        smart_threshold: bytes.
        jpeg_quality: 1 to 100.
        compress_probability: from 0 to 1.
    """

    type_id: ClassVar[int] = 2
    called: ClassVar[str] = "image"

    write_mode: str = "raw"
    max_resolution: int | None = None
    smart_threshold: int | None = None
    jpeg_quality: int = 90
    compress_probability: float = 0.5

    def __post_init__(self) -> None:
        self.jpeg_quality = int(self.jpeg_quality)

    @property
    def metadata_type(self) -> np.dtype:
        """How the image is stored, its size in pixels, and where it lies."""
        return np.dtype([("mode", "<u1"), ("width", "<u2"), ("height", "<u2"), ("data_ptr", "<u8")])

    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """Store one image, uint8 (H, W, 3)."""
        store_image(destination, *self.stored(value), malloc)

    def stored(self, image: np.ndarray) -> tuple[int, tuple[int, int], np.ndarray]:
        """What is stored of an image, as `encode_image` gives it."""
        return encode_image(
            image, self.write_mode, self.max_resolution, self.jpeg_quality, self.smart_threshold,
            self.compress_probability,
        )  # fmt: skip
