"""Whole images made smaller, as OpenCV's INTER_AREA makes them within one level; for conversions."""

import math

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.geometry.resize import resize_window
from ffcv_hydra.kernels.geometry.taps import AREA
from ffcv_hydra.kernels.memory.parts import PARTS_LENGTH


def _signature(pixel, weight):
    return types.void(
        types.Array(pixel, 1, "C", readonly=True), types.int64, types.Array(types.int64, 1, "C"),
        types.Array(weight, 1, "C"), types.Array(pixel, 3, "C"),
    )  # fmt: skip


def _shrink(source, width, window, row, target):
    """Fill `target` (H, W, C) from an image of a width, flattened; `window` and `row` are those of `resize_window`."""
    no_parts = np.zeros(PARTS_LENGTH, dtype=np.int64)  # they are for images that keep their size, and for `NEAREST`
    resize_window(no_parts, source, width, window, 1, AREA, row, target)


_shrink_8 = kernel(_signature(types.uint8, types.float32))(_shrink)
_shrink_16 = kernel(_signature(types.uint16, types.float64))(_shrink)


def shrink(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image of another size, of which neither side is longer, and one is shorter.

    Args:
        image: uint8 or uint16 (H, W) or (H, W, C), with C 1 or 3.
        height, width: of the outcome, in pixels.

    Returns:
        The same dtype and number of axes.
    """
    channels = math.prod(image.shape[2:])
    target = np.empty((height, width, channels), dtype=image.dtype)
    kernel_of_dtype, weight = (_shrink_8, np.float32) if image.dtype == np.uint8 else (_shrink_16, np.float64)
    window = np.array([0, 0, *image.shape[:2], height, width, 0, 0, 0])
    row = np.empty(2 * (channels * image.shape[1] + 1), dtype=weight)
    kernel_of_dtype(np.ascontiguousarray(image).reshape(-1), image.shape[1], window, row, target)
    return target.reshape(height, width, *image.shape[2:])
