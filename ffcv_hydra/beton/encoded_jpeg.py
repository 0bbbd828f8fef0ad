"""Source JPEGs that are stored as they are (TRAPS W10): no second loss, and no time spent on encoding.

What a file holds beside its pixels (EXIF, colour profile, thumbnail) stays in it. PIL, TurboJPEG and FFCV all ignore an
EXIF orientation, so an image has the same pixels whether it is kept or encoded again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ffcv.fields import RGBImageField
from ffcv.fields.rgb_image import IMAGE_MODES
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from ffcv_hydra.kernels.jpeg import Decompressor
from ffcv_hydra.kernels.whole_jpeg import decode_whole

KEPT_MODES = ("RGB", "L")  # PIL's names of 8-bit JPEGs with three components or one; TurboJPEG decodes both to RGB


@dataclass(frozen=True)
class EncodedJpeg:
    """A JPEG to store in place of what `RGBImageField.encode` would make.

    Attributes:
        data: uint8 (num_bytes,), the whole file.
        height, width: In pixels.
    """

    data: np.ndarray
    height: int
    width: int

    def store(self, destination: np.ndarray, malloc: Callable[[int], tuple[int, np.ndarray]]) -> None:
        """Write the metadata of an `RGBImageField` into `destination`, and the bytes to where `malloc` says."""
        destination["mode"] = IMAGE_MODES["jpg"]
        destination["height"], destination["width"] = self.height, self.width
        destination["data_ptr"], storage = malloc(self.data.nbytes)
        storage[:] = self.data


def keep_jpeg(field: RGBImageField, image: Any) -> EncodedJpeg | None:
    """The bytes of a JPEG that needs no change, or None if `field` has to encode the image.

    Kept is what `PIL.Image.open` returned for a JPEG, neither loaded nor changed since, for a field that writes JPEGs
    and does not shrink it, if TurboJPEG decodes it without a warning. CMYK and multi-picture (MPO) files are not kept.
    The image stays as it is: unloaded, its file open for as long as the image lives. Datasets have to open it in
    `__getitem__`: pickling, on the way to a worker, decodes an image.
    """
    if field.write_mode != "jpg" or type(image) is not JpegImageFile or image.mode not in KEPT_MODES:
        return None
    is_untouched = image.tile and not image.decoderconfig  # loading empties `tile`, and `draft` sets `decoderconfig`
    if not is_untouched or (field.max_resolution is not None and max(image.size) > field.max_resolution):
        return None
    data = _read_all(image)
    width, height = image.size
    return EncodedJpeg(data, height, width) if data is not None and _decodes(data, height, width) else None


def _read_all(image: Image.Image) -> np.ndarray | None:
    """uint8 (num_bytes,): the file of an image; None if it is closed, so that PIL says so."""
    file = getattr(image, "fp", None)
    if file is None or getattr(file, "closed", False):
        return None
    position = file.tell()
    file.seek(0)
    try:
        return np.frombuffer(file.read(), dtype=np.uint8)
    finally:
        file.seek(position)


def _decodes(data: np.ndarray, height: int, width: int) -> bool:
    """Whether TurboJPEG decodes the bytes to an image of this size without a warning."""
    decompressor = Decompressor()
    try:
        pixels = np.empty(height * width * 3, dtype=np.uint8)
        return decode_whole(decompressor.handle, data, height, width, pixels) == 0
    finally:
        decompressor.close()
