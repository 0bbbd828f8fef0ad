"""Images of one channel: grayscale ones of 8 or 16 bits, and masks of class ids.

Their metadata have the columns of FFCV's RGB images. `mode` is 0 for a JPEG, 1 for raw pixels (height, width) of the
field's dtype, 2 for a run-length coded mask (see `ffcv_hydra.kernels.memory.mask_codec`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import numpy as np
from PIL import Image

from ffcv_hydra.beton.fields.base import Field, Malloc
from ffcv_hydra.beton.fields.coercion import check_sides, describe_value
from ffcv_hydra.beton.fields.encoded_jpeg import keep_jpeg
from ffcv_hydra.beton.fields.image_encoding import JPEG, RAW, encode_image, store_image
from ffcv_hydra.beton.fields.own_field import OwnField
from ffcv_hydra.beton.fields.rgb import is_transparent
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.fields.source_image import image_name, load_image
from ffcv_hydra.errors import ConversionError
from ffcv_hydra.kernels.memory.mask_codec import encode_runs

RUNS = 2  # `mode` of a mask's metadata, beside `JPEG` and `RAW`


# Reads of an image's mode, stored bytes, box (top, left, bottom, right) and size (height, width) the pixels of the box
# into an array (bottom - top, right - left, C); raises ValueError for what is damaged.
ReadBox: TypeAlias = Callable[[int, np.ndarray, np.ndarray, tuple[int, int], np.ndarray], None]


class OwnImageField(OwnField):
    """Base of the fields with images (height, width, channels).

    Attributes:
        channels: How many.
        dtype: Of the pixels, as pipelines are given them.
        read_box: What reads a part of a stored image; None if kernels do.
        kernel_tile: Side of the tiles that kernels read, in pixels, and `read_box` only where they fail; 0: none.
        checks_itself: Whether reading a part of an image finds what is damaged in that part.
    """

    channels: int = 1
    dtype: np.dtype = np.dtype(np.uint8)
    read_box: ReadBox | None = None
    kernel_tile: int = 0
    checks_itself: bool = False

    @property
    def metadata_type(self) -> np.dtype:
        """FFCV's hook: the columns `mode`, `width`, `height` and `data_ptr`."""
        return RGBImageField().metadata_type

    @property
    def stored_dtype(self) -> np.dtype:
        """Of the pixels in the file."""
        return self.dtype

    @property
    @abstractmethod
    def modes(self) -> tuple[int, ...]:
        """The modes that the field's images can be stored in."""

    def has_wrong_size(self, metadata: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Whether there are no pixels, the mode is none of the field's, or raw pixels have another size; bool (N,)."""
        pixels = metadata["width"].astype(np.uint64) * metadata["height"].astype(np.uint64)
        num_bytes = pixels * np.uint64(self.channels * self.stored_dtype.itemsize)
        wrong = (metadata["mode"] == RAW) & (sizes != num_bytes)
        return wrong | ~np.isin(metadata["mode"], self.modes) | (pixels == 0)


class GrayscaleImageField(OwnImageField):
    """Grayscale images of 8 or 16 bits.

    Takes uint8 (with 16 bits: uint16) arrays (H, W) or (H, W, 1) and PIL images of the modes L and 1 (with 16 bits:
    I;16), and of mode I where its values fit. Nothing is scaled, and what would lose information is refused: colours,
    transparent pixels, and 16-bit images in a field of 8 bits. A JPEG that needs no change is stored as it is.

    Args:
        write_mode: `jpg`, or `raw` for the very pixels. None: `jpg` with 8 bits, `raw` with 16, which JPEG cannot hold.
        bits: Per pixel, 8 or 16.
        jpeg_quality: 1 to 100, for images that are encoded as JPEG.
        max_resolution: Larger images are shrunk to this longer side, in pixels. None: none is.

    Raises:
        ConversionError: if an argument is impossible.
    """

    kind = "grayscale"

    def __init__(
        self,
        write_mode: str | None = None,
        bits: int = 8,
        jpeg_quality: int = 90,
        max_resolution: int | None = None,
    ) -> None:
        if bits not in (8, 16):
            raise ConversionError(f"GrayscaleImageField: bits is {bits!r}; use 8 or 16")
        write_mode = write_mode or ("jpg" if bits == 8 else "raw")
        if write_mode not in ("jpg", "raw"):
            raise ConversionError(f"GrayscaleImageField: unknown write_mode {write_mode!r}; use 'jpg' or 'raw'")
        if write_mode == "jpg" and bits == 16:
            raise ConversionError("GrayscaleImageField: a JPEG holds 8 bits; with bits=16 use write_mode 'raw'")
        if not isinstance(jpeg_quality, int) or not 1 <= jpeg_quality <= 100:
            raise ConversionError(f"GrayscaleImageField: jpeg_quality is {jpeg_quality!r}; use 1 to 100")
        if max_resolution is not None and (not isinstance(max_resolution, int) or max_resolution < 1):
            raise ConversionError(f"GrayscaleImageField: max_resolution is {max_resolution!r}; use 1 or more pixels")
        self.write_mode = write_mode
        self.bits = bits
        self.jpeg_quality = jpeg_quality
        self.max_resolution = max_resolution
        self.dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)

    @property
    def modes(self) -> tuple[int, ...]:
        """JPEG and raw, or with 16 bits raw alone; a file may hold both."""
        return (JPEG, RAW) if self.bits == 8 else (RAW,)

    def parameters(self) -> dict[str, Any]:
        """All arguments."""
        names = ("write_mode", "bits", "jpeg_quality", "max_resolution")
        return {name: getattr(self, name) for name in names}

    def description(self) -> str:
        """`grayscale 8-bit` or `grayscale 16-bit`."""
        return f"{self.kind} {self.bits}-bit"

    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """FFCV's hook: store one image. Raises `ConversionError` if it is none of the field's."""
        if isinstance(value, Image.Image) and value.mode == "L":
            kept = keep_jpeg(self, value)
            if kept is not None:
                kept.store(destination, malloc)
                return
        pixels = self._pixels(value)
        height, width = pixels.shape
        check_sides(height, width, self.max_resolution, may_be_jpeg=self.write_mode == "jpg")
        encoded = encode_image(pixels, self.write_mode, self.max_resolution, self.jpeg_quality)
        store_image(destination, *encoded, malloc)

    def _pixels(self, value: Any) -> np.ndarray:
        """The image, (H, W) of the field's dtype."""
        pixels = None
        if isinstance(value, Image.Image):
            load_image(value)
            if value.mode == "I":
                pixels = _narrowed(np.asarray(value), self.dtype, "pixel values")
            elif value.mode in (("L", "1") if self.bits == 8 else ("I;16", "I;16L", "I;16B")):
                pixels = np.asarray(value.convert("L") if value.mode == "1" else value)
            if pixels is not None and is_transparent(value):
                raise ConversionError(f"{image_name(value)} has transparent pixels; composite it in the dataset")
        elif isinstance(value, np.ndarray) and value.dtype.newbyteorder("=") == self.dtype:
            pixels = _without_channel(value)
        if pixels is None:
            modes = "L" if self.bits == 8 else "I;16"
            advice = "convert it in the dataset, or choose another field"
            raise ConversionError(
                f"expected a PIL image of mode {modes} or a {self.dtype} array of shape (H, W), "
                f"got {_describe(value)}; {advice}"
            )
        return pixels.astype(self.dtype, copy=False)


class MaskField(OwnImageField):
    """Masks of class ids from 0 to 255, lossless: run-length coded, or raw where that is smaller.

    Takes arrays (H, W) or (H, W, 1) of integers or bools, and PIL images of the modes L, 1, I and P (the palette's
    indices, not its colours).
    """

    kind = "mask"
    holds_places: ClassVar[bool | None] = True  # in an image: pipelines that would tear them apart are refused

    @property
    def modes(self) -> tuple[int, ...]:
        """Raw and run-length coded."""
        return (RAW, RUNS)

    def parameters(self) -> dict[str, Any]:
        """None."""
        return {}

    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """FFCV's hook: store one mask. Raises `ConversionError` if it is none, or has an id that is not stored."""
        pixels = None
        if isinstance(value, Image.Image) and (value.mode in ("L", "P", "1") or value.mode.startswith("I")):
            load_image(value)
            pixels = np.asarray(value)
        elif isinstance(value, np.ndarray) and value.dtype.kind in "biu":
            pixels = _without_channel(value)
        if pixels is None:
            raise ConversionError(
                f"expected a PIL image of mode L or P or an array of class ids of shape (H, W), got {_describe(value)}"
            )
        check_sides(*pixels.shape[:2])
        pixels = np.ascontiguousarray(_narrowed(pixels, self.dtype, "class ids"))
        runs = encode_runs(pixels)
        mode, data = (RUNS, runs) if len(runs) < pixels.size else (RAW, pixels.reshape(-1))
        store_image(destination, mode, pixels.shape, data, malloc)


def is_image(field: Field) -> bool:
    """Whether the field's metadata are those of images: FFCV's RGB images, or one of this package's own."""
    return type(field) is RGBImageField or isinstance(field, OwnImageField)


def _without_channel(array: np.ndarray) -> np.ndarray | None:
    """(H, W) of an array (H, W) or (H, W, 1); None for others."""
    if array.ndim == 3 and array.shape[2] == 1:
        return array[:, :, 0]
    return array if array.ndim == 2 else None


def _narrowed(array: np.ndarray, dtype: np.dtype, what: str) -> np.ndarray:
    """The integers as `dtype`, if all fit."""
    if array.dtype == dtype or array.dtype == np.bool_ or array.size == 0:
        return array.astype(dtype, copy=False)
    low, high, most = int(array.min()), int(array.max()), np.iinfo(dtype).max
    if low < 0 or high > most:
        raise ConversionError(f"expected {what} from 0 to {most}, got {low} to {high}; map them in the dataset")
    return array.astype(dtype)


def _describe(value: Any) -> str:
    return f"a PIL image of mode {value.mode}" if isinstance(value, Image.Image) else describe_value(value)
