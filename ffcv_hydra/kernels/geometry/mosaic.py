"""Images made of parts of others."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.compiling.pointers import array_at
from ffcv_hydra.kernels.geometry.resize import resize_window
from ffcv_hydra.kernels.memory.copies import copy_bytes


@kernel(
    "void(int64[::1], uint8[:, ::1], int64, int64[:, ::1], int64[:, :, ::1], int64[:, :, ::1], int64, uint8[::1],"
    " float32[::1], uint8[::1], uint8[:, :, :, ::1])"
)
def put_together(parts, source, width, sources, windows, places, interpolation, filled, row, memory, target):
    """Fill N images with one colour, and put K resampled windows of others on each.

    Args:
        parts: int64 (PARTS_LENGTH,), of `parts`, as `resize_window` takes them.
        source: uint8 (M, B), images of one size, flattened.
        width: of these, in pixels.
        sources: int64 (K, N), which of them each window is of.
        windows: int64 (K, N, 9), as `resize_window` takes them.
        places: int64 (K, N, 4): top, left, height, width of where each is put; without area it is left out.
        interpolation: `AREA`, `BILINEAR` or `NEAREST`.
        filled: uint8, a row of the outcome in that colour.
        row: overwritten, as `resize_window` takes it.
        memory: uint8, overwritten, as long as an image of the outcome.
        target: uint8 (N, H, W, bytes per pixel), written.
    """
    one, size = np.int64(1), target.shape[3]  # a literal would have `taps` compiled twice
    for n in range(len(target)):
        for y in range(target.shape[1]):
            copy_bytes(target[n, y].ctypes.data, filled.ctypes.data, len(filled))
        for k in range(len(sources)):
            top, left, tall, wide = places[k, n, 0], places[k, n, 1], places[k, n, 2], places[k, n, 3]
            if tall > 0 and wide > 0:
                image, part = source[sources[k, n]], array_at(memory.ctypes.data, (tall, wide, size), memory)
                resize_window(parts, image, width, windows[k, n], one, interpolation, row, part)
                for y in range(tall):
                    copy_bytes(target[n, top + y, left:].ctypes.data, part[y].ctypes.data, wide * size)
