"""From stored images to pixels of one size: decode, crop and resize a chunk of samples."""

import numpy as np
from numba import types

from ffcv_hydra.kernels import jpeg
from ffcv_hydra.kernels.compilation import kernel
from ffcv_hydra.kernels.jpeg import decode_jpeg
from ffcv_hydra.kernels.resize import resize_crop

STORED_AS_JPEG = 0  # FFCV's mode column; 1 is raw pixels

jpeg.register()

_int64s = types.Array(types.int64, 1, "C")
_file = types.Array(types.uint8, 1, "C", readonly=True)


@kernel(
    types.int64(
        types.int64, _file, _int64s, _int64s, types.Array(types.uint8, 1, "C"), _int64s, _int64s,
        types.Array(types.int64, 2, "C"), types.Array(types.uint8, 1, "C"), types.Array(types.uint8, 4, "C"),
    )
)  # fmt: skip
def decode_resized(handle, data, offsets, sizes, modes, heights, widths, boxes, scratch, target):
    """Decode N stored images, and resample one box of each to the size of `target`.

    Args:
        handle: of a `jpeg.Decompressor` of this thread.
        data: uint8, the file or a part of it.
        offsets, sizes: int64 (N,), where each image lies in `data`, in bytes.
        modes: uint8 (N,), `STORED_AS_JPEG` or raw pixels (height, width, 3).
        heights, widths: int64 (N,), of the whole images.
        boxes: int64 (N, 4): top, left, height, width.
        scratch: uint8, as long as the largest of the images is, decoded (height * width * 3).
        target: uint8 (N, H, W, 3), written.

    Returns:
        -1, or the position of the first image that could not be decoded.
    """
    for n in range(len(offsets)):
        top, left, height, width = boxes[n, 0], boxes[n, 1], boxes[n, 2], boxes[n, 3]
        if modes[n] == STORED_AS_JPEG:
            if decode_jpeg(handle, data, offsets[n], np.uint64(sizes[n]), heights[n], widths[n], scratch) != 0:
                return n
            resize_crop(scratch, 0, widths[n], top, left, height, width, target[n])
        else:
            if sizes[n] < 3 * heights[n] * widths[n]:
                return n
            resize_crop(data, offsets[n], widths[n], top, left, height, width, target[n])
    return -1
