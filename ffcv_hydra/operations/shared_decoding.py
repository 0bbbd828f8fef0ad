"""Several outputs of one image, such as the views of self-supervised training, for one decode."""

from __future__ import annotations

from collections.abc import Sequence
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
from ffcv_hydra.kernels.jpeg.decoder import decode_box
from ffcv_hydra.kernels.jpeg.markers import read_baseline
from ffcv_hydra.kernels.jpeg.region import EXTRA_BYTES, decode_region
from ffcv_hydra.kernels.jpeg.tables import prepare_tables
from ffcv_hydra.kernels.memory.mask_codec import decode_runs
from ffcv_hydra.kernels.memory.parts import (
    COPY_WINDOW,
    DECODE_BOX,
    DECODE_REGION,
    DECODE_RUNS,
    DECOMPRESSOR,
    FINISH,
    NEAREST_WINDOW,
    PARTS_LENGTH,
    PREPARE_TABLES,
    READ_BASELINE,
    SMALL,
    TABLES,
)
from ffcv_hydra.operations.base import Chunk, Extents, FailedSample

if TYPE_CHECKING:
    from ffcv_hydra.operations.image_decoder import ImageDecoder

# kernels by their places in `kernels.parts`: what each JPEG takes, and what any image may take
JPEG_KERNELS = {READ_BASELINE: read_baseline, DECODE_BOX: decode_box, PREPARE_TABLES: prepare_tables}
DEFERRED_KERNELS = {
    DECODE_REGION: decode_region,
    DECODE_RUNS: decode_runs,
    COPY_WINDOW: copy_window,
    NEAREST_WINDOW: nearest_window,
    FINISH: finish,
}

_KINDS = {STORED_AS_JPEG: "JPEG", STORED_RAW: "raw image", STORED_AS_RUNS: "run-length coded mask"}


def kernels_for(dtype: np.dtype, modes: np.ndarray, interpolation: int) -> tuple[Kernel, ...]:
    """Those that `decode_shared` certainly calls, the longest first.

    Args:
        dtype: of the pixels.
        modes: uint8 (num_samples,), of all stored images.
        interpolation: the kernels' number of it.
    """
    decode = decode_windows_8 if dtype == np.uint8 else decode_windows_16
    jpeg = (decode_box, decode, prepare_tables, read_baseline, decode_region) if STORED_AS_JPEG in modes else (decode,)
    runs = (decode_runs,) if STORED_AS_RUNS in modes else ()
    return (*jpeg, *runs, nearest_window) if interpolation == NEAREST else (*jpeg, *runs)


def decode_shared(
    decoders: Sequence[ImageDecoder], source: Extents, targets: Sequence[np.ndarray], chunks: Sequence[Chunk]
) -> None:
    """Decode each image once, and give each decoder its part of it; the same as if each ran alone.

    One image is in memory at a time, so the scratch is that of the largest image, and its pixels are in the
    processor's cache when the decoders read them.

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
    first, scratch = decoders[0], chunks[0].scratch
    heights, widths, modes = first.stored(chunks[0].samples)
    in_scratch = (modes != STORED_RAW) | (first.dtype.itemsize > 1)
    num_bytes = int((heights * widths * in_scratch).max()) * first.channels * first.dtype.itemsize
    num_bytes += -num_bytes % 8
    decode, weight = (decode_windows_8, np.float32) if first.dtype == np.uint8 else (decode_windows_16, np.float64)
    row = 2 * (first.channels * int(widths.max()) + 1) * np.dtype(weight).itemsize
    row += -row % 8
    small = int(source.sizes.max()) + EXTRA_BYTES if STORED_AS_JPEG in modes else 0
    on_the_way = max(target[0].size for target in targets)
    pixels = scratch.pixels_for(num_bytes + row + small + on_the_way)
    after_row = pixels.ctypes.data + num_bytes + row
    layouts = [
        _address_and_layout(decoder, target, len(heights), after_row + small)
        for decoder, target in zip(decoders, targets, strict=True)
    ]
    parts = _shared_parts()
    if small:
        parts[list(JPEG_KERNELS)] = [kernel.address for kernel in JPEG_KERNELS.values()]
        parts[DECOMPRESSOR], parts[TABLES] = scratch.decompressor.handle, scratch.jpeg_tables.ctypes.data
        parts[SMALL] = after_row
    as_stored = all(value_bytes == first.dtype.itemsize and not planes for *_, value_bytes, planes, _ in layouts)
    tables = np.empty(0, dtype=np.uint32) if as_stored else np.stack([decoder.value_bits() for decoder in decoders])
    failed = decode(
        parts,
        source.data,
        source.offsets,
        source.sizes,
        modes,
        heights,
        widths,
        first.channels,
        _windows(decoders, heights, widths, chunks),
        np.array([decoder.interpolation_code for decoder in decoders]),
        np.array(layouts),
        np.array([8 if decoder.scaled_decoding else 1 for decoder in decoders]),
        tables.ctypes.data,
        pixels[:num_bytes].view(first.dtype),
        pixels[num_bytes : num_bytes + row].view(weight),
    )
    if failed >= 0:
        kind = _KINDS.get(int(modes[failed]), f"image of the unknown mode {modes[failed]}")
        if modes[failed] == STORED_AS_JPEG:
            error = scratch.decompressor.error()
            kind += f" ({'its header says another size' if error == 'No error' else error})"
        raise FailedSample(failed, f"the {kind} cannot be decoded as {heights[failed]} x {widths[failed]} pixels")


def _shared_parts() -> np.ndarray:
    """What `kernels.parts` describes, with what all images can need; what a JPEG takes is left out."""
    parts = np.zeros(PARTS_LENGTH, dtype=np.int64)
    parts[list(DEFERRED_KERNELS)] = [kernel.deferred_address for kernel in DEFERRED_KERNELS.values()]
    return parts


def _windows(
    decoders: Sequence[ImageDecoder], heights: np.ndarray, widths: np.ndarray, chunks: Sequence[Chunk]
) -> np.ndarray:
    """int64 (V, N, 9), as `kernels.resize.resize_window` takes them."""
    windows = np.empty((len(decoders), len(heights), 9), dtype=np.int64)
    for window, decoder, chunk in zip(windows, decoders, chunks, strict=True):
        window[:, :4] = decoder.boxes(heights, widths, chunk.keys)
        window[:, 4:8] = decoder.placements(heights, widths)
        window[:, 8] = decoder.mirrored(chunk)
    return windows


def _address_and_layout(decoder: ImageDecoder, target: np.ndarray, count: int, on_the_way: int) -> tuple[int, ...]:
    """What kernels know of a target; they get its address alone, and trust it."""
    height, width = decoder.output_size
    shape = (decoder.channels, height, width) if decoder.channels_first else (height, width, decoder.channels)
    if target.shape != (count, *shape) or target.dtype != decoder.result_dtype or not target.flags.c_contiguous:
        raise TypeError(f"{type(decoder).__name__} fills a contiguous {decoder.result_dtype} array {(count, *shape)}")
    return target.ctypes.data, height, width, target.itemsize, decoder.channels_first, on_the_way
