"""What is taken from inside Pillow: libwebp, which its WebP extension brings, without Pillow's way through animations.

That way decodes into four channels and copies them twice: it takes twice as long.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from PIL import Image


def is_opened_webp(image: Image.Image) -> bool:
    """Whether an image is a WebP without a second frame, neither loaded nor changed since it was opened."""
    state: dict[str, Any] = vars(image)
    has_no_pixels = state.get("_im", state.get("im")) is None  # Pillow 11 gave it another name
    return image.format == "WEBP" and has_no_pixels and not getattr(image, "is_animated", True)


def decode_webp(content: np.ndarray, height: int, width: int) -> np.ndarray | None:
    """uint8 (height, width, 3) of a WebP, uint8 (num_bytes,); None if it is damaged, or libwebp cannot be reached."""
    library = _libwebp()
    if library is None:
        return None
    found = ctypes.c_int(), ctypes.c_int()
    data = content.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(content.nbytes)
    if not library.WebPGetInfo(*data, *map(ctypes.byref, found)) or [n.value for n in found] != [width, height]:
        return None
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    target = pixels.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(pixels.nbytes)
    return pixels if library.WebPDecodeRGBInto(*data, *target, ctypes.c_int(3 * width)) else None


@cache
def _libwebp() -> Any:
    """The library, whose functions are found through the extension that is linked with it; None if they are not."""
    try:
        from PIL import _webp

        library = ctypes.CDLL(_webp.__file__)
        library.WebPDecodeRGBInto.restype = ctypes.c_void_p
        library.WebPGetInfo.restype = ctypes.c_int
    except (ImportError, OSError, AttributeError, TypeError):  # built without it, or in one piece with it
        return None
    return library
