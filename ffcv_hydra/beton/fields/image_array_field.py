"""Images of any number of channels, and of more than 8 bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ffcv_hydra.beton.fields.base import Malloc
from ffcv_hydra.beton.fields.coercion import check_sides, describe_value
from ffcv_hydra.beton.fields.image_encoding import RAW, store_image
from ffcv_hydra.beton.fields.image_fields import OwnImageField
from ffcv_hydra.beton.fields.tiles import check_can_pack, pack_tiles, unpack_box
from ffcv_hydra.errors import ConversionError

TILES = 3  # `mode` of an image's metadata, beside those of `image_fields`
DTYPES = ("uint8", "uint16", "int16", "float16", "float32")
MAX_CHANNELS = 256
_MAX_LEVEL = 22  # of zstd


class ImageArrayField(OwnImageField):
    """Images (H, W, C) of any size, with 1 to 256 channels: of satellites, microscopes, scanners.

    Takes arrays of the dtype, (H, W, C), or (H, W) if there is one channel. Nothing is scaled, converted or lost.
    Pipelines are given images of the dtype; of float16 ones as float32, which computes faster.

    Args:
        channels: How many.
        dtype: `uint8`, `uint16`, `int16`, `float16` or `float32`.
        write_mode: `tiles`: the values in tiles, of which a crop reads and checks only those that it lies on. `zstd`:
            the same, packed losslessly; needs the extra `arrays`. `raw`: the values as they are, which is faster where
            pipelines take whole images; each is checked as a whole.
        tile: Side of a tile, in pixels.
        level: zstd's, 1 (fast) to 22 (small); only conversions take longer with higher ones.

    Raises:
        ConversionError: if an argument is impossible, or a package is missing.
    """

    kind = "image_array"

    def __init__(
        self, channels: int, dtype: Any = "float32", write_mode: str = "tiles", tile: int = 64, level: int = 3
    ) -> None:
        try:
            self._stored_dtype = np.dtype(dtype).newbyteorder("<")
        except (TypeError, ValueError):
            self._stored_dtype = np.dtype(object)
        name = self._stored_dtype.name
        if name not in DTYPES:
            raise ConversionError(f"ImageArrayField: dtype is {dtype!r}; use one of {', '.join(DTYPES)}")
        if type(channels) is not int or not 1 <= channels <= MAX_CHANNELS:
            raise ConversionError(f"ImageArrayField: channels is {channels!r}; use 1 to {MAX_CHANNELS}")
        if write_mode not in ("raw", "tiles", "zstd"):
            raise ConversionError(f"ImageArrayField: unknown write_mode {write_mode!r}; use 'raw', 'tiles' or 'zstd'")
        if type(tile) is not int or not 8 <= tile <= 4096:
            raise ConversionError(f"ImageArrayField: tile is {tile!r}; use 8 to 4096 pixels")
        if type(level) is not int or not 1 <= level <= _MAX_LEVEL:
            raise ConversionError(f"ImageArrayField: level is {level!r}; use 1 to {_MAX_LEVEL}")
        if write_mode == "zstd":
            check_can_pack()
        self.channels, self.write_mode, self.tile, self.level = channels, write_mode, tile, level
        self.dtype = np.dtype(np.float32) if name == "float16" else np.dtype(name)
        self.checks_itself = write_mode != "raw"
        is_as_given = self.dtype == self.stored_dtype
        self.read_box = self._read_box if self.checks_itself or not is_as_given else None
        self.kernel_tile = tile if write_mode == "tiles" and is_as_given else 0

    @property
    def modes(self) -> tuple[int, ...]:
        """Raw, or in tiles."""
        return (RAW,) if self.write_mode == "raw" else (TILES,)

    @property
    def stored_dtype(self) -> np.dtype:
        """As the arrays are given."""
        return self._stored_dtype

    def parameters(self) -> dict[str, Any]:
        """All arguments."""
        names = ("channels", "write_mode", "tile", "level")
        return {"dtype": self.stored_dtype.name, **{name: getattr(self, name) for name in names}}

    def description(self) -> str:
        """As `image_array float32, 13 channels`."""
        return f"{self.kind} {self.stored_dtype.name}, {self.channels} channel{'s' * (self.channels > 1)}"

    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """FFCV's hook: store one image. Raises `ConversionError` if its dtype or its shape is another."""
        image = value[:, :, None] if isinstance(value, np.ndarray) and value.ndim == 2 else value
        fits = (
            isinstance(image, np.ndarray)
            and image.dtype.newbyteorder("<") == self.stored_dtype
            and image.ndim == 3
            and image.shape[2] == self.channels
        )
        if not fits:
            expected = f"{self.stored_dtype.name} array of shape (H, W, {self.channels})"
            raise ConversionError(f"expected {expected}, got {describe_value(value)}; convert it in the dataset")
        size = (image.shape[0], image.shape[1])
        check_sides(*size)
        image = np.ascontiguousarray(image, dtype=self.stored_dtype)
        if self.write_mode == "raw":
            store_image(destination, RAW, size, image.reshape(-1).view(np.uint8), malloc)
        else:
            level = self.level if self.write_mode == "zstd" else None
            store_image(destination, TILES, size, pack_tiles(image, self.tile, level), malloc)

    def whole(self, data: np.ndarray, height: int, width: int) -> np.ndarray:
        """The image (H, W, C) of its stored bytes, uint8, as it was given. Raises `ValueError` if they are damaged."""
        result = np.empty((height, width, self.channels), dtype=self.stored_dtype)
        self._read_box(self.modes[0], data, np.array([0, 0, height, width]), (height, width), result)
        return result

    def _read_box(
        self, mode: int, data: np.ndarray, box: np.ndarray, size: tuple[int, int], result: np.ndarray
    ) -> None:
        shape = (*size, self.channels)
        if mode not in self.modes:
            raise ValueError(f"its mode is {mode}")
        if mode == TILES:
            unpack_box(data, shape, self.stored_dtype, self.tile, self.write_mode == "zstd", box, result)
            return
        num_bytes = math.prod(shape) * self.stored_dtype.itemsize
        if len(data) < num_bytes:
            raise ValueError("it is cut off")
        top, left, bottom, right = box
        result[:] = data[:num_bytes].view(self.stored_dtype).reshape(shape)[top:bottom, left:right]
