"""Decoding of one JPEG as it is, to find out whether it decodes at all."""

from numba import types

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.jpeg import turbojpeg as jpeg
from ffcv_hydra.kernels.jpeg.turbojpeg import decode_jpeg

jpeg.register()


@kernel(
    types.int64(
        types.int64, types.Array(types.uint8, 1, "C", readonly=True), types.int64, types.int64,
        types.Array(types.uint8, 1, "C"),
    )
)  # fmt: skip
def decode_whole(handle, data, height, width, target):
    """Decode a JPEG to RGB.

    Args:
        handle: of a `jpeg.Decompressor` that no other thread uses.
        data: uint8 (num_bytes,), the JPEG and nothing before it.
        height, width: what the image must have, in pixels.
        target: uint8, at least height * width * 3 long, written as (height, width, 3).

    Returns:
        0, or 1 if TurboJPEG failed or warned, or 2 if the image has another size.
    """
    return decode_jpeg(handle, data.ctypes.data, len(data), height, width, 3, 1, target.ctypes.data)
