"""JPEG decoding by TurboJPEG, called from kernels.

The functions are those that FFCV's own extension is linked with, so no other library is needed. Their addresses are
registered with LLVM by name, which keeps the kernels that call them cacheable (a ctypes pointer would not).
"""

import ctypes
import functools
import importlib.util
from pathlib import Path
from typing import Any

import llvmlite.binding
import numpy as np
from numba import types

from ffcv_hydra.kernels.compilation import device_function

_SYMBOLS = ("tjDecompress2", "tjDecompressHeader3")
_PIXEL_FORMAT_RGB = 0  # TJPF_RGB
_FLAGS = 2048  # TJFLAG_FASTDCT, as FFCV decodes, so that the pixels are the very same


@functools.cache
def _library() -> ctypes.CDLL:
    package = importlib.util.find_spec("ffcv")
    if package is None or package.submodule_search_locations is None:
        raise ImportError("ffcv is not installed: pip install ffcv==1.0.2")
    extension = next(Path(package.submodule_search_locations[0]).glob("_libffcv*.so"))
    library = ctypes.CDLL(str(extension))
    library.tjInitDecompress.restype = ctypes.c_void_p
    library.tjDestroy.argtypes = [ctypes.c_void_p]
    library.tjGetErrorStr2.argtypes = [ctypes.c_void_p]
    library.tjGetErrorStr2.restype = ctypes.c_char_p
    return library


def register() -> None:
    """Make TurboJPEG's functions known to LLVM; before the first kernel that decodes is compiled or loaded."""
    for name in _SYMBOLS:
        address = ctypes.cast(getattr(_library(), name), ctypes.c_void_p).value
        llvmlite.binding.add_symbol(name, address)


_decompress: Any = types.ExternalFunction(
    "tjDecompress2",
    types.int32(
        types.intp,
        types.intp,
        types.uint64,
        types.intp,
        types.int32,
        types.int32,
        types.int32,
        types.int32,
        types.int32,
    ),
)
_decompress_header: Any = types.ExternalFunction(
    "tjDecompressHeader3",
    types.int32(types.intp, types.intp, types.uint64, types.intp, types.intp, types.intp, types.intp),
)


class Decompressor:
    """A TurboJPEG decompressor; one per thread. `handle` is what kernels take."""

    def __init__(self) -> None:
        self._destroy = _library().tjDestroy  # at interpreter exit this module's own names may be gone already
        self.handle: int = _library().tjInitDecompress()
        if not self.handle:
            raise MemoryError("TurboJPEG could not start a decompressor")

    def error(self) -> str:
        """What TurboJPEG said of its last failure."""
        return _library().tjGetErrorStr2(self.handle).decode(errors="replace")

    def close(self) -> None:
        """Give the decompressor's memory back; a second call does nothing."""
        if self.handle:
            self._destroy(self.handle)
            self.handle = 0

    def __del__(self) -> None:
        self.close()


@device_function
def decode_jpeg(handle, data, offset, size, height, width, target):
    """Decode a whole JPEG to RGB.

    Args:
        handle: of a `Decompressor` that no other thread uses.
        data: uint8; the JPEG is data[offset : offset + size].
        height, width: what the image must have, in pixels.
        target: uint8, at least height * width * 3 long, written as (height, width, 3).

    Returns:
        0, or 1 if TurboJPEG complained, or 2 if the image has another size.
    """
    start = data.ctypes.data + offset
    found = np.zeros(4, dtype=np.int32)
    field = found.ctypes.data
    if _decompress_header(handle, start, size, field, field + 4, field + 8, field + 12) != 0:
        return 1
    if found[0] != width or found[1] != height:
        return 2
    status = _decompress(handle, start, size, target.ctypes.data, width, 0, height, _PIXEL_FORMAT_RGB, _FLAGS)
    return 0 if status == 0 else 1
