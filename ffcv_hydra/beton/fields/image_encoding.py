"""From the pixels of an image to what is stored of it: shrunk, as JPEG or as they are."""

from __future__ import annotations

import math

import numpy as np
import simplejpeg

from ffcv_hydra.beton.fields.base import Malloc
from ffcv_hydra.errors import ConversionError
from ffcv_hydra.kernels.geometry.shrink import shrink

JPEG, RAW = 0, 1  # `mode` of an image's metadata

_COLOURS = {1: ("GRAY", "Gray"), 3: ("RGB", "420")}  # by the number of channels, with the subsampling


def encode_image(
    image: np.ndarray,
    write_mode: str,
    max_resolution: int | None = None,
    jpeg_quality: int = 90,
    smart_threshold: int | None = None,
    compress_probability: float = 0.5,
) -> tuple[int, tuple[int, int], np.ndarray]:
    """What is stored of an image.

    Args:
        image: uint8 (H, W, 3), or uint8 or uint16 (H, W).
        write_mode: `jpg`, `raw`, `smart` (JPEG where the pixels take more than `smart_threshold` bytes), or
            `proportion` (JPEG with `compress_probability`, drawn from NumPy's global generator).
        max_resolution: larger images are shrunk to this longer side, in pixels. None: none is.
        jpeg_quality: 1 to 100.

    Returns:
        `JPEG` or `RAW`; height and width; and uint8 (num_bytes,), the JPEG, or the pixels (H, W, C) one after another.

    Raises:
        ConversionError: if it cannot be a JPEG.
    """
    image = _shrunk(image, max_resolution)
    if write_mode == "proportion":
        is_jpeg = np.random.rand() < compress_probability
    else:
        is_smart = write_mode == "smart" and smart_threshold is not None and image.nbytes > smart_threshold
        is_jpeg = is_smart or write_mode == "jpg"
    image = np.ascontiguousarray(image)
    data = _as_jpeg(image, jpeg_quality) if is_jpeg else image.reshape(-1).view(np.uint8)
    return JPEG if is_jpeg else RAW, (image.shape[0], image.shape[1]), data


def store_image(destination: np.ndarray, mode: int, size: tuple[int, int], data: np.ndarray, malloc: Malloc) -> None:
    """Write an image field's metadata into `destination`, and uint8 `data` to where `malloc` says."""
    destination["mode"] = mode
    destination["height"], destination["width"] = size
    destination["data_ptr"], storage = malloc(data.nbytes)
    storage[:] = data


def shrunk_size(height: int, width: int, max_resolution: int | None) -> tuple[int, int]:
    """Height and width of what is stored of an image."""
    if max_resolution is None or max(height, width) <= max_resolution:
        return height, width
    scale = max_resolution / max(height, width)
    return max(int(scale * height), 1), max(int(scale * width), 1)


def _shrunk(image: np.ndarray, max_resolution: int | None) -> np.ndarray:
    height, width = image.shape[:2]
    size = shrunk_size(height, width, max_resolution)
    return image if size == (height, width) else shrink(image, *size)


def _as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    channels = math.prod(image.shape[2:])
    pixels = image.reshape(*image.shape[:2], channels)
    try:
        content = simplejpeg.encode_jpeg(pixels, quality, *_COLOURS[channels])
    except ValueError as error:
        raise ConversionError(f"TurboJPEG cannot encode the image: {error}; use write_mode: raw") from error
    return np.frombuffer(content, dtype=np.uint8)
