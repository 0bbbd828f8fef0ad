"""Source JPEGs whose coefficients are stored as they are (TRAPS W10): no second loss, and no time spent on encoding.

What a file holds beside its pixels (EXIF, colour profile, thumbnail) stays in it. PIL, TurboJPEG and FFCV all ignore an
EXIF orientation, so an image has the same pixels whether it is kept or encoded again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from ffcv.fields.rgb_image import IMAGE_MODES
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from ffcv_hydra.beton.random_access_image import RandomAccessImageField
from ffcv_hydra.beton.restart_index import first_segment, with_random_access
from ffcv_hydra.kernels.jpeg import Decompressor
from ffcv_hydra.kernels.whole_jpeg import decode_whole

KEPT_MODES = ("RGB", "L")  # PIL's names of 8-bit JPEGs with three components or one; TurboJPEG decodes both to RGB


class JpegField(Protocol):
    """What decides whether a field keeps a JPEG: FFCV's RGB images and the package's grayscale ones have it."""

    write_mode: str
    max_resolution: int | None


@dataclass(frozen=True)
class EncodedJpeg:
    """A JPEG to store in place of what an image field's `encode` would make.

    Attributes:
        data: uint8 (num_bytes,), the whole file, or the same with random access.
        height, width: In pixels.
    """

    data: np.ndarray
    height: int
    width: int

    def store(self, destination: np.ndarray, malloc: Callable[[int], tuple[int, np.ndarray]]) -> None:
        """Write the metadata of an image field into `destination`, and the bytes to where `malloc` says."""
        destination["mode"] = IMAGE_MODES["jpg"]
        destination["height"], destination["width"] = self.height, self.width
        destination["data_ptr"], storage = malloc(self.data.nbytes)
        storage[:] = self.data


def keep_jpeg(field: JpegField, image: Any) -> EncodedJpeg | None:
    """The bytes of a JPEG that needs no change, or None if `field` has to encode the image.

    Kept is what `PIL.Image.open` returned for a JPEG, neither loaded nor changed since, for a field that writes JPEGs
    and does not shrink it, if TurboJPEG decodes it without a warning. CMYK and multi-picture (MPO) files are not kept.
    A `RandomAccessImageField` keeps it with restart markers and their index where that is possible.
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
    if data is None:
        return None
    if isinstance(field, RandomAccessImageField) and field.random_access:
        indexed = with_random_access(data)
        if indexed is not None and _headers_decode(indexed, height, width):
            return EncodedJpeg(indexed, height, width)
    return EncodedJpeg(data, height, width) if _decodes(data, height, width) else None


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


def _headers_decode(jpeg: np.ndarray, height: int, width: int) -> bool:
    """Whether TurboJPEG decodes the first segment of an indexed JPEG without a warning, and the size is the whole's.

    All of the entropy-coded data was read by who wrote the index, more strictly than decoders do; what is left to find
    are headers that TurboJPEG refuses or warns of. Decoding all of a photo would take as long as recoding it.
    """
    found = first_segment(jpeg, height, width)
    return found is not None and _decodes(*found)


def _decodes(data: np.ndarray, height: int, width: int) -> bool:
    """Whether TurboJPEG decodes the bytes to an image of this size without a warning."""
    decompressor = Decompressor()
    try:
        pixels = np.empty(height * width * 3, dtype=np.uint8)
        return decode_whole(decompressor.handle, data, height, width, pixels) == 0
    finally:
        decompressor.close()
