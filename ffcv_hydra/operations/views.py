"""What kernels take of stored images, and of the parts of them that decoders want."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ffcv_hydra.kernels.geometry.taps import NEAREST
from ffcv_hydra.kernels.images.windows import STORED_AS_JPEG
from ffcv_hydra.operations.base import Chunk

if TYPE_CHECKING:
    from ffcv_hydra.operations.image_decoder import ImageDecoder

_FACTORS = (2, 4, 8)  # that JPEGs are decoded smaller by


@dataclass(frozen=True)
class StoredImages:
    """N images of one field.

    Attributes:
        data: uint8, the file or a part of it.
        offsets, sizes: int64 (N,), where each lies in `data`, in bytes.
        modes: uint8 (N,), how it is stored.
        heights, widths: int64 (N,), in pixels.
    """

    data: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    modes: np.ndarray
    heights: np.ndarray
    widths: np.ndarray

    def one(self, position: int) -> StoredImages:
        """One of them."""
        columns = (self.offsets, self.sizes, self.modes, self.heights, self.widths)
        return StoredImages(self.data, *(column[position : position + 1] for column in columns))

    def stored(self, position: int) -> np.ndarray:
        """uint8 (num_bytes,): the bytes of one of them.

        Raises:
            ValueError: they are not within `data`.
        """
        begin, size = int(self.offsets[position]), int(self.sizes[position])
        if not 0 <= begin <= begin + size <= len(self.data):
            raise ValueError("its bytes are not in the file")
        return self.data[begin : begin + size]


@dataclass(frozen=True)
class Views:
    """V views of each of N images, one per decoder.

    Attributes:
        windows: int64 (V, N, 9), as `kernels.geometry.resize.resize_window` takes them.
        interpolations: int64 (V,), the kernels' numbers of them.
        targets: int64 (V, 6), as `kernels.images.windows` takes them.
        tables: uint32 (V, C, 256), what each byte becomes; (V, 0) if all become what they are.
    """

    windows: np.ndarray
    interpolations: np.ndarray
    targets: np.ndarray
    tables: np.ndarray

    def of_image(self, position: int, chosen: np.ndarray, channels: int) -> Views:
        """Those of one image that are chosen, bool (V,)."""
        targets = self.targets[chosen]
        targets[:, 0] += position * targets[:, 1:4].prod(axis=1) * channels
        return Views(
            self.windows[chosen, position : position + 1], self.interpolations[chosen], targets, self.tables[chosen]
        )

    def box(self) -> np.ndarray:
        """int64 (4,): top, left, bottom, right of the smallest box around all of them, which are of one image."""
        corner, size = self.windows[:, 0, :2], self.windows[:, 0, 2:4]
        return np.concatenate([corner.min(axis=0), (corner + size).max(axis=0)])


def views_of(
    decoders: Sequence[ImageDecoder],
    images: StoredImages,
    targets: Sequence[np.ndarray],
    chunks: Sequence[Chunk],
    on_the_way: int,
) -> Views:
    """What decoders want of images.

    Args:
        decoders: of one field.
        images: the stored ones.
        targets: per decoder the array (N, H, W, C) that it fills; (N, C, H, W) for one with `channels_first`.
        chunks: per decoder the samples, which are the same for all, and its keys.
        on_the_way: the address of memory for one image of the largest target.

    Raises:
        TypeError: if a target does not fit its decoder.
    """
    count = len(images.offsets)
    layouts = [_layout(decoder, target, count, on_the_way) for decoder, target in zip(decoders, targets, strict=True)]
    windows = np.empty((len(decoders), count, 9), dtype=np.int64)
    for window, decoder, chunk in zip(windows, decoders, chunks, strict=True):
        window[:, :4] = decoder.boxes(images.heights, images.widths, chunk.keys)
        window[:, 4:8] = decoder.placements(images.heights, images.widths)
        window[:, 8] = decoder.mirrored(chunk)
    interpolations = np.array([decoder.interpolation_code for decoder in decoders])
    as_stored = all(not planes and value_bytes == decoders[0].dtype.itemsize for *_, value_bytes, planes, _ in layouts)
    tables = np.empty((len(decoders), 0), dtype=np.uint32)
    if not as_stored:
        tables = np.stack([decoder.value_bits() for decoder in decoders])
    return Views(windows, interpolations, np.array(layouts), tables)


def choose_scales(
    decoders: Sequence[ImageDecoder], images: StoredImages, windows: np.ndarray, scales: np.ndarray
) -> None:
    """How many times smaller than it is a JPEG is decoded for a view: never smaller than the outcome.

    Args:
        decoders: those that views are for.
        images: the stored ones.
        windows: int64 (V, N, 9), of the views.
        scales: int64 (V, N), ones, changed where it is more.
    """
    is_jpeg = images.modes == STORED_AS_JPEG
    for scale, decoder, window in zip(scales, decoders, windows, strict=True):
        if decoder.scaled_decoding and decoder.interpolation_code != NEAREST:
            for factor in _FACTORS:
                is_enough = (window[:, 2] >= factor * window[:, 4]) & (window[:, 3] >= factor * window[:, 5])
                scale[is_jpeg & is_enough] = factor


def _layout(decoder: ImageDecoder, target: np.ndarray, count: int, on_the_way: int) -> tuple[int, ...]:
    """What kernels know of a target; they get its address alone, and trust it."""
    height, width = decoder.output_size
    shape = (decoder.channels, height, width) if decoder.channels_first else (height, width, decoder.channels)
    if target.shape != (count, *shape) or target.dtype != decoder.result_dtype or not target.flags.c_contiguous:
        raise TypeError(f"{type(decoder).__name__} fills a contiguous {decoder.result_dtype} array {(count, *shape)}")
    return target.ctypes.data, height, width, target.itemsize, decoder.channels_first, on_the_way
