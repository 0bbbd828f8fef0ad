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

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.pointers import array_at, int64s_at

_SYMBOLS = ("tjInitDecompress", "tjDestroy", "tjDecompress2", "tjDecompressHeader3", "tjGetErrorStr2")
_PIXEL_FORMAT_RGB, _PIXEL_FORMAT_GRAY = 0, 6  # TJPF_RGB, TJPF_GRAY
# libjpeg's words for bytes between the last MCU that it wanted and the next marker
_COMPLAINT_BEGIN = tuple(b"Corrupt JPEG data: ")
_COMPLAINT_END = tuple(b" extraneous bytes before marker")
_COMPLAINT_LENGTH = len(_COMPLAINT_BEGIN) + 20 + len(_COMPLAINT_END)  # TurboJPEG's buffer has 200 bytes
_FLAGS = 2048  # TJFLAG_FASTDCT, as FFCV decodes, so that the pixels are the very same


@functools.cache
def library() -> ctypes.CDLL:
    """FFCV's extension, which TurboJPEG's functions are found in."""
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
        address = ctypes.cast(getattr(library(), name), ctypes.c_void_p).value
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
_error_text: Any = types.ExternalFunction("tjGetErrorStr2", types.intp(types.intp))
_start: Any = types.ExternalFunction("tjInitDecompress", types.intp())
_destroy: Any = types.ExternalFunction("tjDestroy", types.int32(types.intp))


class Decompressor:
    """A TurboJPEG decompressor; one per thread. `handle` is what kernels take.

    TurboJPEG's own handles keep quantization and Huffman tables from one JPEG to the next, and would decode one that
    lacks them with those of another. So each JPEG gets a new one, which takes less than a microsecond; the address of
    an int64 with the last one, for its error, is the handle here.
    """

    def __init__(self) -> None:
        self._library = library()  # at interpreter exit this module's own names may be gone already
        self._last = np.zeros(1, dtype=np.int64)
        self.handle: int = self._last.ctypes.data

    def __reduce__(self) -> tuple[Any, ...]:
        return Decompressor, ()  # a handle has one owner

    def error(self) -> str:
        """What TurboJPEG said of its last failure."""
        return self._library.tjGetErrorStr2(int(self._last[0])).decode(errors="replace")

    def close(self) -> None:
        """Give the memory back; a second call does nothing."""
        if self._last[0]:
            self._library.tjDestroy(int(self._last[0]))
            self._last[0] = 0

    def __del__(self) -> None:
        self.close()


@device_function
def decode_jpeg(handle, address, size, height, width, channels, scale, target):
    """Decode a JPEG to RGB or to grayscale, whatever was decoded before.

    Args:
        handle: of a `Decompressor` that no other thread uses.
        address, size: of the JPEG, in bytes.
        height, width: what the image must have, in pixels.
        channels: 3 for RGB, 1 for grayscale; the JPEG itself may have the other number.
        scale: 1, 2, 4 or 8: decode at 1 / scale of the size, rounded up.
        target: the address of at least height * width * channels bytes, written as uint8 (height, width, channels), as
            scaled.

    Returns:
        0, or 1 if TurboJPEG complained, or 2 if the image has another size.
    """
    last = int64s_at(handle, 1)
    if last[0] != 0:
        _destroy(last[0])
    last[0] = _start()
    found = np.empty(4, dtype=np.int32)
    field = found.ctypes.data
    if _decompress_header(last[0], address, np.uint64(size), field, field + 4, field + 8, field + 12) != 0:
        return 1
    if found[0] != width or found[1] != height:
        return 2
    pixel_format = _PIXEL_FORMAT_RGB if channels == 3 else _PIXEL_FORMAT_GRAY
    rows, columns = (height + scale - 1) // scale, (width + scale - 1) // scale
    status = _decompress(last[0], address, np.uint64(size), target, columns, 0, rows, pixel_format, _FLAGS)
    return 0 if status == 0 else 1


@device_function
def ended_early(handle, like):
    """Whether all that TurboJPEG complained of in its last call are bytes behind the last row that it was asked for.

    It keeps the first complaint; that one comes after the last row. In a JPEG with restart markers it may come sooner.
    `like` is any uint8 array.
    """
    text = array_at(_error_text(int64s_at(handle, 1)[0]), (_COMPLAINT_LENGTH,), like)
    for i in range(len(_COMPLAINT_BEGIN)):
        if text[i] != _COMPLAINT_BEGIN[i]:
            return False
    at = len(_COMPLAINT_BEGIN)
    while at < _COMPLAINT_LENGTH - len(_COMPLAINT_END) and 48 <= text[at] <= 57:  # a number
        at += 1
    for i in range(len(_COMPLAINT_END)):  # noqa: SIM110  (numba compiles no generators)
        if text[at + i] != _COMPLAINT_END[i]:
            return False
    return True
