"""The pixels of PNGs and WebPs that were merely opened, faster than by Pillow, which goes by pieces and copies."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from ffcv_hydra.beton.fields.pillow_internals import decode_webp, is_opened_webp
from ffcv_hydra.beton.fields.source_image import find_damage, is_undecoded, read_file
from ffcv_hydra.kernels.images.png import undo_filters

_SIGNATURE_BYTES, _CHUNK_BYTES = 8, 12  # a chunk: its length, type and checksum
_PLAIN_RGB = bytes([8, 2, 0, 0, 0])  # bits, colour type, compression, filters, interlacing
_OTHER_PIXELS = (b"tRNS", b"acTL")  # chunks of transparent colours and animations


def opened_pixels(image: Image.Image) -> np.ndarray | None:
    """The pixels that Pillow would give.

    Args:
        image: Any image.

    Returns:
        uint8 (H, W, 3); None where Pillow has to decode it: all but undamaged PNGs of 8-bit RGB that are not interlaced
        and WebPs without transparency, neither loaded nor changed since they were opened.
    """
    if image.mode != "RGB":
        return None
    if is_opened_webp(image):
        content = read_file(image)
        return None if content is None else decode_webp(content, image.height, image.width)
    if type(image) is not PngImageFile or not is_undecoded(image) or find_damage(image) is not None:
        return None
    content = read_file(image)
    return None if content is None else _decode_png(content.tobytes(), image.height, image.width)


def _decode_png(content: bytes, height: int, width: int) -> np.ndarray | None:
    compressed = _compressed_lines(content, height, width)
    num_bytes = height * (1 + 3 * width)
    inflater = zlib.decompressobj()
    try:
        lines = inflater.decompress(compressed, num_bytes + 1)
    except zlib.error:
        return None
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    if not inflater.eof or not undo_filters(np.frombuffer(lines, dtype=np.uint8), pixels.reshape(height, 3 * width)):
        return None
    return pixels


def _compressed_lines(content: bytes, height: int, width: int) -> bytes:
    """What is in the chunks IDAT of a PNG whose chunks are sound; nothing if its pixels are of another kind."""
    found: list[bytes] = []
    at, before = _SIGNATURE_BYTES, b""
    while at + _CHUNK_BYTES <= len(content):
        (length,), kind = struct.unpack_from(">I", content, at), content[at + 4 : at + 8]
        body = content[at + 8 : at + 8 + length]
        is_other = kind == b"IHDR" and body != struct.pack(">II", width, height) + _PLAIN_RGB
        is_apart = kind == b"IDAT" != before and found  # Pillow takes the first of these for the end
        if is_other or is_apart or kind in _OTHER_PIXELS:
            return b""
        if kind == b"IDAT":
            found.append(body)
        before = kind
        at += _CHUNK_BYTES + length
    return b"".join(found)
