"""Several parts of one image, such as the views of self-supervised training, for one decode."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.geometry.picked_pixels import copy_window, fill_around, nearest_window
from ffcv_hydra.kernels.geometry.resample import resample_float32, resample_int16, resample_uint8, resample_uint16
from ffcv_hydra.kernels.geometry.taps import NEAREST
from ffcv_hydra.kernels.images.windows import (
    STORED_AS_JPEG,
    STORED_AS_RUNS,
    STORED_AS_TILES,
    STORED_RAW,
    decode_windows,
)
from ffcv_hydra.kernels.jpeg.decoder import EXTRA_BYTES, decode_box
from ffcv_hydra.kernels.jpeg.markers import read_baseline
from ffcv_hydra.kernels.jpeg.reduction import transform_reduced
from ffcv_hydra.kernels.jpeg.region import decode_region
from ffcv_hydra.kernels.jpeg.tables import prepare_tables
from ffcv_hydra.kernels.memory.image_chain import run_image_functions
from ffcv_hydra.kernels.memory.mask_codec import decode_runs
from ffcv_hydra.kernels.memory.parts import (
    COPY_WINDOW,
    DECODE_BOX,
    DECODE_RUNS,
    FILL_AROUND,
    NEAREST_WINDOW,
    PARTS_LENGTH,
    PREPARE_TABLES,
    READ_BASELINE,
    READ_TILES,
    REDUCE,
    RESAMPLE,
    RUN_FUNCTIONS,
    SMALL,
    TABLES,
    TILE,
)
from ffcv_hydra.kernels.memory.tiles import read_tiles
from ffcv_hydra.operations.base import FailedSample, Scratch
from ffcv_hydra.operations.views import StoredImages, Views

# kernels by their places in `kernels.parts`: what each JPEG takes, and what any image may take
JPEG_KERNELS = {READ_BASELINE: read_baseline, DECODE_BOX: decode_box, PREPARE_TABLES: prepare_tables}
DEFERRED_KERNELS = {
    DECODE_RUNS: decode_runs,
    COPY_WINDOW: copy_window,
    NEAREST_WINDOW: nearest_window,
    FILL_AROUND: fill_around,
    RUN_FUNCTIONS: run_image_functions,
    REDUCE: transform_reduced,
    READ_TILES: read_tiles,
}

RESAMPLE_KERNELS = {
    np.dtype(np.uint8): resample_uint8,
    np.dtype(np.uint16): resample_uint16,
    np.dtype(np.int16): resample_int16,
    np.dtype(np.float32): resample_float32,
}

_KINDS = {
    STORED_AS_JPEG: "JPEG",
    STORED_RAW: "raw image",
    STORED_AS_RUNS: "run-length coded mask",
    STORED_AS_TILES: "image in tiles",
}
_LEFT_OUT = 255  # a mode that no kernel decodes


def kernels_for(
    dtype: np.dtype,
    channels: int,
    modes: Container[int],
    interpolation: int,
    is_read_in_boxes: bool = False,
    tile: int = 0,
) -> tuple[Kernel, ...]:
    """Those that `decode_views` certainly calls, the longest first.

    Args:
        dtype, channels: of the pixels.
        modes: of the stored images.
        interpolation: the kernels' number of it.
        is_read_in_boxes: whether they have a `read_box`.
        tile: the side of tiles that kernels read, or 0.
    """
    jpeg = STORED_AS_JPEG in modes and not is_read_in_boxes
    decode = (decode_box, decode_windows, prepare_tables, read_baseline) if jpeg else (decode_windows,)
    runs = (decode_runs,) if STORED_AS_RUNS in modes else (read_tiles,) if tile else ()
    if interpolation == NEAREST:
        return (*decode, *runs, nearest_window)
    return (*decode, *runs, *(() if _is_common(dtype, channels) else (RESAMPLE_KERNELS[dtype],)))


def _is_common(dtype: np.dtype, channels: int) -> bool:
    """Whether `decode_windows` resamples such pixels by itself."""
    return dtype == np.uint8 and channels in (1, 3)


def resampling_parts(dtype: np.dtype, channels: int) -> np.ndarray:
    """int64 (PARTS_LENGTH,): what resamples decoded pixels, as `kernels.memory.parts` has it."""
    parts = np.zeros(PARTS_LENGTH, dtype=np.int64)
    parts[list(DEFERRED_KERNELS)] = [kernel.deferred_address for kernel in DEFERRED_KERNELS.values()]
    if not _is_common(dtype, channels) and dtype in RESAMPLE_KERNELS:
        parts[RESAMPLE] = RESAMPLE_KERNELS[dtype].deferred_address
    return parts


def decode_views(images: StoredImages, views: Views, scratch: Scratch) -> None:
    """Decode each image once, and resample each of its views; the same as if each view were made alone.

    One image is in memory at a time, so the scratch is that of the largest image, and its pixels are in the
    processor's cache when views are made of them. A JPEG whose views take several scales is decoded once for each;
    those that the kernels leave out, by TurboJPEG. Of images in tiles or with a `read_box`, the box around all views is
    read.

    Args:
        images: at least one.
        views: of them.
        scratch: of the calling thread.

    Raises:
        FailedSample: if an image cannot be decoded.
    """
    workplace = _Workplace(images, scratch)
    for_kernels, has_bytes = images, images.dtype.itemsize == 1
    left_out = (views.scales != views.scales[0]).any(axis=0)
    if images.read_box is not None or not has_bytes:
        only = STORED_AS_TILES if images.tile else STORED_RAW if images.read_box is None else _LEFT_OUT
        left_out |= images.modes != only
    if left_out.any():
        for_kernels = replace(images, modes=np.where(left_out, np.uint8(_LEFT_OUT), images.modes))
    position = -1
    while (position := workplace.decode(for_kernels, views, begin=position + 1)) >= 0:
        reason, mode = "", int(images.modes[position])
        try:
            if images.read_box is not None:
                workplace.decode_box(images, views, position)
                continue
            if mode == STORED_AS_JPEG and has_bytes:
                workplace.decode_left_out(images, views, position)
                continue
        except ValueError as error:
            reason = f" ({error})"
        kind = _KINDS.get(mode, f"image of the unknown mode {mode}")
        size = f"{images.heights[position]} x {images.widths[position]} pixels"
        raise FailedSample(position, f"the {kind}{reason} cannot be decoded as {size}")


class _Workplace:
    """Kernels, and the memory that they take for one image at a time.

    Args:
        images: all of them.
        scratch: of the calling thread.

    Attributes:
        pixels: uint8, for the largest image that is decoded; raw ones take none.
    """

    def __init__(self, images: StoredImages, scratch: Scratch) -> None:
        self._scratch = scratch
        decoded = (images.modes == STORED_AS_JPEG) | (images.modes == STORED_AS_RUNS) | (images.tile > 0)
        num_bytes = int((images.heights * images.widths * decoded).max()) * images.channels * images.dtype.itemsize
        row = 2 * (images.channels * int(images.widths.max()) + 1) * np.dtype(np.float32).itemsize
        has_jpegs = STORED_AS_JPEG in images.modes
        small = int(images.sizes.max()) + EXTRA_BYTES if has_jpegs else 0
        num_bytes, row = num_bytes + -num_bytes % 8, row + -row % 8
        memory = scratch.buffer("pixels", num_bytes + row + small)
        self.pixels, self._row = memory[:num_bytes], memory[num_bytes : num_bytes + row].view(np.float32)
        self._small = memory[num_bytes + row :][:small]
        self._parts = resampling_parts(images.dtype, images.channels)
        self._parts[TILE] = images.tile
        if has_jpegs:
            self._parts[list(JPEG_KERNELS)] = [kernel.address for kernel in JPEG_KERNELS.values()]
            self._parts[TABLES], self._parts[SMALL] = scratch.jpeg_tables.ctypes.data, self._small.ctypes.data

    def decode(self, images: StoredImages, views: Views, begin: int = 0) -> int:
        """Decode images from one on, each at one scale; -1, or the position of the first one that is not decoded."""
        return decode_windows(
            self._parts,
            images.data,
            images.offsets,
            images.sizes,
            images.modes,
            images.heights,
            images.widths,
            images.channels * images.dtype.itemsize,
            views.scales[0],
            views.windows,
            views.interpolations,
            views.targets,
            images.keys,
            self.pixels,
            self._row,
            begin,
        )

    def decode_left_out(self, images: StoredImages, views: Views, position: int) -> None:
        """Decode one JPEG once for each of its views' scales, by TurboJPEG if the kernels do not know it.

        What a view is made of does not depend on the other ones: each has the pixels of its own scale.

        Raises:
            ValueError: what is wrong with it.
        """
        one, scales = images.one(position), views.scales[:, position]
        jpeg, height, width = images.stored(position), int(one.heights[0]), int(one.widths[0])
        for scale in sorted(set(scales.tolist())):
            some = views.of_image(position, scales == scale)
            if scales.min() < scales.max() and self.decode(one, some) < 0:
                continue
            top, left, height_of_part, width_of_part = decode_region(
                jpeg, height, width, images.channels, some.box(), scale, self._small, self.pixels
            )
            some.windows[:, 0, :2] -= top, left
            size = -(-height_of_part // scale), -(-width_of_part // scale)
            self._decode_pixels(one, self.pixels, size, some)

    def decode_box(self, images: StoredImages, views: Views, position: int) -> None:
        """Read the box around all views of one image, and make them of that.

        Raises:
            ValueError: what is wrong with it.
        """
        one, some = images.one(position), views.of_image(position, np.ones(len(views.windows), dtype=bool))
        box, stored = some.box(), images.stored(position)
        assert images.read_box is not None
        height, width = (box[2:] - box[:2]).tolist()
        num_bytes = height * width * one.channels * one.dtype.itemsize
        memory = self._scratch.buffer("box", num_bytes)[:num_bytes]
        pixels = memory.view(one.dtype).reshape(height, width, one.channels)
        images.read_box(int(one.modes[0]), stored, box, (int(one.heights[0]), int(one.widths[0])), pixels)
        some.windows[:, 0, :2] -= box[:2]
        self._decode_pixels(one, memory, (height, width), some)

    def _decode_pixels(self, one: StoredImages, pixels: np.ndarray, size: tuple[int, ...], views: Views) -> None:
        """Make views of the pixels of one image, or of a part of it, of height and width `size`."""
        num_bytes = size[0] * size[1] * one.channels * one.dtype.itemsize
        offsets, sizes, heights, widths = np.array([[0], [num_bytes], [size[0]], [size[1]]])
        raw = np.array([STORED_RAW], dtype=np.uint8)
        self.decode(
            StoredImages(pixels, offsets, sizes, raw, heights, widths, one.keys, one.channels, one.dtype), views
        )
