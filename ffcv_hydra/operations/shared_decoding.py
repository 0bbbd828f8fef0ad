"""Several outputs of one image, such as the views of self-supervised training, for one decode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ffcv_hydra.kernels.colour.finish import finish
from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.geometry.picked_pixels import copy_window, nearest_window
from ffcv_hydra.kernels.geometry.taps import NEAREST
from ffcv_hydra.kernels.images.windows import (
    STORED_AS_JPEG,
    STORED_AS_RUNS,
    STORED_RAW,
    decode_windows_8,
    decode_windows_16,
)
from ffcv_hydra.kernels.jpeg.decoder import EXTRA_BYTES, decode_box
from ffcv_hydra.kernels.jpeg.markers import read_baseline
from ffcv_hydra.kernels.jpeg.region import decode_region
from ffcv_hydra.kernels.jpeg.tables import prepare_tables
from ffcv_hydra.kernels.memory.mask_codec import decode_runs
from ffcv_hydra.kernels.memory.parts import (
    COPY_WINDOW,
    DECODE_BOX,
    DECODE_RUNS,
    FINISH,
    NEAREST_WINDOW,
    PARTS_LENGTH,
    PREPARE_TABLES,
    READ_BASELINE,
    SMALL,
    TABLES,
)
from ffcv_hydra.operations.base import Chunk, Extents, FailedSample, Scratch
from ffcv_hydra.operations.views import StoredImages, Views, choose_scales, views_of

if TYPE_CHECKING:
    from ffcv_hydra.operations.image_decoder import ImageDecoder

# kernels by their places in `kernels.parts`: what each JPEG takes, and what any image may take
JPEG_KERNELS = {READ_BASELINE: read_baseline, DECODE_BOX: decode_box, PREPARE_TABLES: prepare_tables}
DEFERRED_KERNELS = {
    DECODE_RUNS: decode_runs,
    COPY_WINDOW: copy_window,
    NEAREST_WINDOW: nearest_window,
    FINISH: finish,
}

_KINDS = {STORED_AS_JPEG: "JPEG", STORED_RAW: "raw image", STORED_AS_RUNS: "run-length coded mask"}
_LEFT_OUT = 255  # a mode that no kernel decodes


def kernels_for(dtype: np.dtype, modes: np.ndarray, interpolation: int) -> tuple[Kernel, ...]:
    """Those that `decode_shared` certainly calls, the longest first.

    Args:
        dtype: of the pixels.
        modes: uint8 (num_samples,), of all stored images.
        interpolation: the kernels' number of it.
    """
    decode = decode_windows_8 if dtype == np.uint8 else decode_windows_16
    jpeg = (decode_box, decode, prepare_tables, read_baseline) if STORED_AS_JPEG in modes else (decode,)
    runs = (decode_runs,) if STORED_AS_RUNS in modes else ()
    return (*jpeg, *runs, nearest_window) if interpolation == NEAREST else (*jpeg, *runs)


def decode_shared(
    decoders: Sequence[ImageDecoder], source: Extents, targets: Sequence[np.ndarray], chunks: Sequence[Chunk]
) -> None:
    """Decode each image once, and give each decoder its part of it; the same as if each ran alone.

    One image is in memory at a time, so the scratch is that of the largest image, and its pixels are in the
    processor's cache when the decoders read them. JPEGs that the kernels leave out, and those that are decoded at a
    part of their size, are decoded by TurboJPEG, once for each size.

    Args:
        decoders: of one field of one file.
        source: where the stored images lie.
        targets: per decoder the array (N, H, W, C) that it fills; (N, C, H, W) for one with `channels_first`.
        chunks: per decoder the samples, which are the same for all, and its keys.

    Raises:
        FailedSample: if an image cannot be decoded.
        TypeError: if a target does not fit its decoder.
    """
    if len(source.offsets) == 0:
        return
    heights, widths, modes = decoders[0].stored(chunks[0].samples)
    images = StoredImages(source.data, source.offsets, source.sizes, modes, heights, widths)
    workplace = _Workplace(decoders[0], images, max(target[0].size for target in targets), chunks[0].scratch)
    views = views_of(decoders, images, targets, chunks, workplace.on_the_way)
    for_kernels, scales = images, np.ones(views.windows.shape[:2], dtype=np.int64)
    if any(decoder.scaled_decoding for decoder in decoders):
        choose_scales(decoders, images, views.windows, scales)
        for_kernels = replace(images, modes=np.where((scales > 1).any(axis=0), np.uint8(_LEFT_OUT), modes))
    position = -1
    while (position := workplace.decode(for_kernels, views, begin=position + 1)) >= 0:
        reason = ""
        if modes[position] == STORED_AS_JPEG and workplace.pixels.itemsize == 1:
            try:
                workplace.decode_left_out(images, views, position, scales[:, position])
                continue
            except ValueError as error:
                reason = f" ({error})"
        kind = _KINDS.get(int(modes[position]), f"image of the unknown mode {modes[position]}")
        size = f"{heights[position]} x {widths[position]} pixels"
        raise FailedSample(position, f"the {kind}{reason} cannot be decoded as {size}")


class _Workplace:
    """Kernels, and the memory that they take for one image at a time.

    Args:
        decoder: one of those that the images are decoded for.
        images: all of them.
        target_values: of one image in the largest target.
        scratch: of the calling thread.

    Attributes:
        pixels: of the stored dtype, for the largest image; raw ones of 8 bits take none.
        on_the_way: the address of memory for one image of the largest target.
    """

    def __init__(self, decoder: ImageDecoder, images: StoredImages, target_values: int, scratch: Scratch) -> None:
        self._channels, dtype = decoder.channels, decoder.dtype
        self._decode, weight = (decode_windows_8, np.float32) if dtype == np.uint8 else (decode_windows_16, np.float64)
        in_scratch = (images.modes != STORED_RAW) | (dtype.itemsize > 1)
        num_bytes = int((images.heights * images.widths * in_scratch).max()) * self._channels * dtype.itemsize
        row = 2 * (self._channels * int(images.widths.max()) + 1) * np.dtype(weight).itemsize
        has_jpegs = STORED_AS_JPEG in images.modes
        small = int(images.sizes.max()) + EXTRA_BYTES if has_jpegs else 0
        num_bytes, row = num_bytes + -num_bytes % 8, row + -row % 8
        memory = scratch.pixels_for(num_bytes + row + small + target_values)
        self.pixels, self._row = memory[:num_bytes].view(dtype), memory[num_bytes : num_bytes + row].view(weight)
        self._small = memory[num_bytes + row :][:small]
        self.on_the_way = memory.ctypes.data + num_bytes + row + small
        self._parts = np.zeros(PARTS_LENGTH, dtype=np.int64)
        self._parts[list(DEFERRED_KERNELS)] = [kernel.deferred_address for kernel in DEFERRED_KERNELS.values()]
        if has_jpegs:
            self._parts[list(JPEG_KERNELS)] = [kernel.address for kernel in JPEG_KERNELS.values()]
            self._parts[TABLES], self._parts[SMALL] = scratch.jpeg_tables.ctypes.data, self._small.ctypes.data

    def decode(self, images: StoredImages, views: Views, scale: int = 1, begin: int = 0) -> int:
        """Decode images from one on; -1, or the position of the first one that is not decoded."""
        return self._decode(
            self._parts,
            images.data,
            images.offsets,
            images.sizes,
            images.modes,
            images.heights,
            images.widths,
            self._channels,
            scale,
            views.windows,
            views.interpolations,
            views.targets,
            views.tables.ctypes.data,
            self.pixels,
            self._row,
            begin,
        )

    def decode_left_out(self, images: StoredImages, views: Views, position: int, scales: np.ndarray) -> None:
        """Decode one JPEG by TurboJPEG, once for each of `scales`, int64 (V,).

        What a view is made of does not depend on the other ones: each has the pixels of its own scale.

        Raises:
            ValueError: what is wrong with it.
        """
        jpeg, height, width = images.stored(position), int(images.heights[position]), int(images.widths[position])
        for scale in sorted(set(scales.tolist())):
            some = views.of_image(position, scales == scale, self._channels)
            if scale == 1 and scales.max() > 1 and self.decode(images.one(position), some) < 0:
                continue
            top, left, height_of_part, width_of_part = decode_region(
                jpeg, height, width, self._channels, some.box(), scale, self._small, self.pixels
            )
            some.windows[:, 0, :2] -= top, left
            rows, columns = -(-height_of_part // scale), -(-width_of_part // scale)
            numbers = ([0], [rows * columns * self._channels], [rows], [columns])
            offsets, sizes, heights, widths = np.array(numbers)
            decoded = StoredImages(self.pixels, offsets, sizes, np.array([STORED_RAW], dtype=np.uint8), heights, widths)
            self.decode(decoded, some, scale)
