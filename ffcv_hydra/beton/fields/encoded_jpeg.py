"""Source JPEGs whose coefficients are stored as they are (TRAPS W10): no second loss, and no time spent on encoding.

What a file holds beside its pixels (EXIF, colour profile, thumbnail) stays in it. PIL, TurboJPEG and FFCV all ignore an
EXIF orientation, so an image has the same pixels whether it is kept or encoded again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from ffcv_hydra.beton.fields.base import Malloc
from ffcv_hydra.beton.fields.image_encoding import JPEG, store_image
from ffcv_hydra.beton.fields.random_access_image import RandomAccessImageField
from ffcv_hydra.beton.fields.restart_index import first_mcu, first_segment, with_random_access
from ffcv_hydra.beton.fields.source_image import is_undecoded, read_file
from ffcv_hydra.kernels.jpeg.markers import DHT, EOI, RST0, SOF_BASELINE, SOF_EXTENDED, SOF_PROGRESSIVE, SOI, SOS
from ffcv_hydra.kernels.jpeg.turbojpeg import complaint

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

    def store(self, destination: np.ndarray, malloc: Malloc) -> None:
        """Write the metadata of an image field into `destination`, and the bytes to where `malloc` says."""
        store_image(destination, JPEG, (self.height, self.width), self.data, malloc)


def keep_jpeg(field: JpegField, image: Any) -> EncodedJpeg | None:
    """The bytes of a JPEG that needs no change, or None if `field` has to encode the image.

    Kept is what `PIL.Image.open` returned for a JPEG, neither loaded nor changed since, for a field that writes JPEGs
    and does not shrink it, if TurboJPEG decodes it without a warning and without tables of other JPEGs. CMYK and
    multi-picture (MPO) files are not kept.
    A `RandomAccessImageField` keeps it with restart markers and their index where that is possible.
    The image stays as it is: unloaded, its file open for as long as the image lives. Datasets have to open it in
    `__getitem__`: pickling, on the way to a worker, decodes an image.
    """
    if field.write_mode != "jpg" or type(image) is not JpegImageFile or image.mode not in KEPT_MODES:
        return None
    if not is_undecoded(image) or (field.max_resolution is not None and max(image.size) > field.max_resolution):
        return None
    data = read_file(image)
    width, height = image.size
    if data is None:
        return None
    if isinstance(field, RandomAccessImageField) and field.random_access:
        indexed = with_random_access(data)
        if indexed is not None and _headers_decode(indexed, height, width):
            return EncodedJpeg(indexed, height, width)
    return EncodedJpeg(data, height, width) if _stands_alone(data, height, width) else None


def _headers_decode(jpeg: np.ndarray, height: int, width: int) -> bool:
    """Whether TurboJPEG decodes the first segment of an indexed JPEG without a warning, and the size is the whole's.

    All of the entropy-coded data was read by who wrote the index, more strictly than decoders do; what is left to find
    are headers that TurboJPEG refuses or warns of. Decoding all of a photo would take as long as recoding it.
    """
    found = first_segment(jpeg, height, width)
    return found is not None and complaint(*found) is None


def _stands_alone(jpeg: np.ndarray, height: int, width: int) -> bool:
    """Whether TurboJPEG decodes a JPEG to an image of this size without a warning, with the JPEG's own tables alone.

    Of baseline ones all is read here, in half the time; TurboJPEG is asked about the first MCU (see `_headers_decode`).
    """
    found = first_mcu(jpeg, height, width)
    if found is not None and complaint(*found) is None:
        return True
    return complaint(jpeg, height, width) is None and _has_huffman_tables(jpeg.tobytes())


def _has_huffman_tables(jpeg: bytes) -> bool:
    """Whether the Huffman tables of each scan stand before it.

    For one that is missing, TurboJPEG takes the standard's example (as motion JPEG means it), or what it has still in
    its handle of the JPEG before. Without a quantization table it fails.
    """
    defined: set[int] = set()
    kind = num_components = 0
    at = 2
    while (at := jpeg.find(b"\xff", at)) >= 0 and at + 4 <= len(jpeg) and jpeg[at + 1] != EOI:
        marker = jpeg[at + 1]
        if marker < SOF_BASELINE or RST0 <= marker <= SOI or marker == 0xFF:  # entropy-coded data, or a fill byte
            at += 1
            continue
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        body = jpeg[at + 4 : at + 2 + length]
        if marker in (SOF_BASELINE, SOF_EXTENDED, SOF_PROGRESSIVE):
            kind, num_components = marker, body[5]
        elif marker == DHT:
            while len(body) >= 17:
                defined.add(body[0])  # 16 * class + number; class 0 is for DC coefficients, 1 for AC
                body = body[17 + sum(body[1:17]) :]
        elif marker == SOS and kind:  # else it is coded arithmetically
            selectors, (first, _, bits) = body[2 : 1 + 2 * body[0] : 2], body[1 + 2 * body[0] :][:3]
            dc = {table >> 4 for table in selectors} if first == 0 and bits < 16 else set()
            is_progressive = kind == SOF_PROGRESSIVE
            ac = {16 + (table & 15) for table in selectors} if first > 0 or not is_progressive else set()
            if not dc | ac <= defined:
                return False
            if not is_progressive and len(selectors) == num_components:
                return True
        at += 2 + length
    return True
