"""The TurboJPEG that FFCV's extension is linked with, asked as FFCV asks it."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

_FAST_DCT = 2048
_PIXEL_FORMATS = {1: 6, 3: 0}


def decode_as_ffcv(
    jpeg: np.ndarray, height: int, width: int, channels: int = 3, scale: int = 1
) -> tuple[bool, np.ndarray]:
    """Whether FFCV's TurboJPEG decodes a JPEG to the size without a complaint, and its pixels; skips without FFCV."""
    ffcv = pytest.importorskip("ffcv")
    turbojpeg = ctypes.CDLL(str(next(Path(ffcv.__file__).parent.glob("_libffcv*.so"))))
    turbojpeg.tjInitDecompress.restype = ctypes.c_void_p
    rows, columns = (-(-side // scale) for side in (height, width))
    target = np.zeros((rows, columns, channels), dtype=np.uint8)
    handle = ctypes.c_void_p(turbojpeg.tjInitDecompress())
    found = [ctypes.c_int() for _ in range(4)]
    address, size = ctypes.c_void_p(jpeg.ctypes.data), ctypes.c_ulong(len(jpeg))
    status = turbojpeg.tjDecompressHeader3(handle, address, size, *(ctypes.byref(one) for one in found))
    is_good = status == 0 and (found[1].value, found[0].value) == (height, width)
    if is_good:
        pixels = ctypes.c_void_p(target.ctypes.data)
        shape = (columns, 0, rows, _PIXEL_FORMATS[channels])
        is_good = turbojpeg.tjDecompress2(handle, address, size, pixels, *shape, _FAST_DCT) == 0
    turbojpeg.tjDestroy(handle)
    return is_good, target
