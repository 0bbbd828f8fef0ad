"""TurboJPEG's lossless transformation, out of the library that FFCV's extension is linked with."""

import ctypes
import importlib.util
from pathlib import Path

import numpy as np
import pytest


class _Transform(ctypes.Structure):
    """`tjtransform` of turbojpeg.h. All zeros: nothing is turned, cut off or left out; what is written is baseline."""

    _fields_ = [
        ("region", ctypes.c_int * 4),
        ("operation", ctypes.c_int),
        ("options", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("custom_filter", ctypes.c_void_p),
    ]


def transformed(jpeg: np.ndarray) -> bytes | None:
    """The baseline JPEG of the same coefficients, or None if TurboJPEG fails or warns; skips without FFCV."""
    package = importlib.util.find_spec("ffcv")
    if package is None:
        pytest.skip("TurboJPEG's transform comes with FFCV")
    turbojpeg = ctypes.CDLL(str(next(Path(package.submodule_search_locations[0]).glob("_libffcv*.so"))))
    turbojpeg.tjInitTransform.restype = ctypes.c_void_p
    turbojpeg.tjFree.argtypes = [ctypes.c_void_p]
    handle = ctypes.c_void_p(turbojpeg.tjInitTransform())
    result, size, transform = ctypes.c_void_p(), ctypes.c_ulong(), _Transform()
    status = turbojpeg.tjTransform(
        handle, ctypes.c_void_p(jpeg.ctypes.data), ctypes.c_ulong(jpeg.nbytes), 1,
        ctypes.byref(result), ctypes.byref(size), ctypes.byref(transform), 0,
    )  # fmt: skip
    content = ctypes.string_at(result.value, size.value) if status == 0 and result.value else None
    turbojpeg.tjFree(result)
    turbojpeg.tjDestroy(handle)
    return content
