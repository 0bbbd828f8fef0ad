"""Lossless transformation of whole JPEGs by TurboJPEG."""

import ctypes

import numpy as np

from ffcv_hydra.kernels.jpeg.turbojpeg import library


class _Transform(ctypes.Structure):
    """`tjtransform` of turbojpeg.h. All zeros: nothing is turned, cut off or left out; what is written is baseline."""

    _fields_ = [
        ("region", ctypes.c_int * 4),
        ("operation", ctypes.c_int),
        ("options", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("custom_filter", ctypes.c_void_p),
    ]


def to_baseline(data: np.ndarray) -> np.ndarray | None:
    """The same coefficients and markers in one sequential scan, with the standard's Huffman tables.

    Args:
        data: uint8 (num_bytes,), a JPEG, progressive for instance.

    Returns:
        uint8 (num_bytes,), or None if TurboJPEG fails or warns.
    """
    turbojpeg = library()
    turbojpeg.tjInitTransform.restype = ctypes.c_void_p
    turbojpeg.tjFree.argtypes = [ctypes.c_void_p]
    handle = ctypes.c_void_p(turbojpeg.tjInitTransform())
    if not handle:
        raise MemoryError("TurboJPEG could not start a transformer")
    result, size, transform = ctypes.c_void_p(), ctypes.c_ulong(), _Transform()
    try:
        status = turbojpeg.tjTransform(
            handle, ctypes.c_void_p(data.ctypes.data), ctypes.c_ulong(data.nbytes), 1,
            ctypes.byref(result), ctypes.byref(size), ctypes.byref(transform), 0,
        )  # fmt: skip
        if status != 0 or not result.value:
            return None
        return np.frombuffer(ctypes.string_at(result.value, size.value), dtype=np.uint8)
    finally:
        turbojpeg.tjFree(result)
        turbojpeg.tjDestroy(handle)
