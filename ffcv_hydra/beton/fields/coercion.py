"""Checks of one value against its field, and the few conversions that lose nothing.

FFCV's fields check little: an array of another dtype is stored as it is and reads as garbage (TRAPS W5), a grey image
raises deep in a worker (W4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ffcv_hydra.beton.fields.array_fields import NDArrayField, TorchTensorField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.bytes_fields import BytesField, JSONField
from ffcv_hydra.beton.fields.encoded_jpeg import EncodedJpeg, keep_jpeg
from ffcv_hydra.beton.fields.opened_pixels import opened_pixels
from ffcv_hydra.beton.fields.random_access_image import RandomAccessImageField
from ffcv_hydra.beton.fields.restart_index import MAX_JPEG_SIDE
from ffcv_hydra.beton.fields.rgb import to_rgb
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField
from ffcv_hydra.beton.fields.source_image import load_image
from ffcv_hydra.errors import ConversionError
from ffcv_hydra.loaded_torch import is_tensor

if TYPE_CHECKING:
    import torch

MAX_IMAGE_SIDE = np.iinfo(np.uint16).max  # FFCV stores height and width in 16 bits each


def coerce(field: Field, value: Any) -> Any:
    """The value to hand to `field.encode`, or an `EncodedJpeg` to store in its place.

    Other classes than FFCV's seven and `RandomAccessImageField` get the value untouched: they check it themselves.

    Raises:
        ConversionError: if the value does not fit the field; says what was expected and what was found.
    """
    coercer = _COERCERS.get(type(field))
    return value if coercer is None else coercer(field, value)


def _coerce_image(field: RGBImageField, value: Any) -> np.ndarray | EncodedJpeg:
    """uint8 (H, W, 3), or a JPEG whose coefficients are stored as they are."""
    if isinstance(value, Image.Image):
        kept = keep_jpeg(field, value)
        if kept is not None:
            return kept
        pixels = opened_pixels(value)
        if pixels is None:
            load_image(value)
            pixels = np.asarray(to_rgb(value, getattr(field, "background", None)))
        value = pixels
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3:
        raise ConversionError(f"expected a PIL image or a uint8 array of shape (H, W, 3), got {describe_value(value)}")
    height, width = value.shape[:2]
    limit = field.max_resolution
    check_sides(height, width, limit, may_be_jpeg=field.write_mode != "raw")
    if limit is not None and min(height, width) * limit < max(height, width):  # FFCV would make it 0 pixels wide
        raise ConversionError(f"an image of {width} x {height} pixels is too narrow for max_resolution={limit}; pad it")
    return value


def check_sides(height: int, width: int, max_resolution: int | None = None, *, may_be_jpeg: bool = False) -> None:
    """Raise `ConversionError` if an image, once it is shrunk to `max_resolution`, has a side that cannot be stored."""
    longest = min(max(height, width), max_resolution or MAX_IMAGE_SIDE + 1)
    if min(height, width) < 1 or longest > MAX_IMAGE_SIDE:
        raise ConversionError(f"an image of {width} x {height} pixels; a beton holds 1 to {MAX_IMAGE_SIDE} on a side")
    if may_be_jpeg and longest > MAX_JPEG_SIDE:
        raise ConversionError(
            f"an image of {width} x {height} pixels; a JPEG holds 1 to {MAX_JPEG_SIDE} on a side: store it with "
            f"write_mode: raw, or set max_resolution"
        )


def _coerce_int(field: IntField, value: Any) -> int:
    value = _unpack_0d(value)
    if not isinstance(value, (bool, int, np.bool_, np.integer)):
        raise ConversionError(f"expected an int, got {describe_value(value)}")
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ConversionError(f"{number} does not fit into 64 bits")
    return number


def _coerce_float(field: FloatField, value: Any) -> float:
    value = _unpack_0d(value)
    if not isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)):
        raise ConversionError(f"expected a float, got {describe_value(value)}")
    return float(value)


def _coerce_array(field: NDArrayField, value: Any) -> np.ndarray:
    matches = (
        isinstance(value, np.ndarray)
        and value.dtype.newbyteorder("=") == field.dtype
        and value.shape == tuple(field.shape)
    )
    if not matches:
        raise ConversionError(f"expected {_describe_array('array', field)}, got {describe_value(value)}")
    return np.ascontiguousarray(value, dtype=field.dtype)


def _coerce_tensor(field: TorchTensorField, value: Any) -> torch.Tensor:
    expected = _describe_array("tensor", field)
    value = dense_tensor(value, expected)
    if _torch_name(value.dtype) != field.dtype.name or tuple(value.shape) != tuple(field.shape):
        raise ConversionError(f"expected {expected}, got {describe_value(value)}")
    return value


def dense_tensor(value: Any, expected: str) -> torch.Tensor:
    """The tensor without gradients and lazy views; raises `ConversionError` if it is none, or not a dense CPU one."""
    if not is_tensor(value):
        raise ConversionError(f"expected {expected}, got {describe_value(value)}")
    if value.device.type != "cpu" or str(value.layout) != "torch.strided":
        raise ConversionError(
            f"expected {expected}, got a {value.layout} tensor on {value.device}; make it a dense one on the CPU"
        )
    return value.detach().contiguous().resolve_conj().resolve_neg()


def _coerce_bytes(field: BytesField, value: Any) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype != np.uint8:
        raise ConversionError(f"expected a 1-D uint8 array, got {describe_value(value)}")
    return value


def _coerce_json(field: JSONField, value: Any) -> dict | list:
    if not isinstance(value, (dict, list)):
        raise ConversionError(f"expected a dict, got {describe_value(value)}")
    for key in _other_keys(value):
        raise ConversionError(f"the key {key!r} is no text, and JSON has no others; use {str(key)!r} in the dataset")
    return value  # whether it can be written as JSON shows in encode, which names the field as well


def _other_keys(value: Any) -> Iterator[Any]:
    """The keys of nested dicts and lists that are no text."""
    if isinstance(value, dict):
        yield from (key for key in value if not isinstance(key, str))
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from _other_keys(inner)


_COERCERS: dict[type[Field], Callable[[Any, Any], Any]] = {
    RGBImageField: _coerce_image,
    RandomAccessImageField: _coerce_image,
    IntField: _coerce_int,
    FloatField: _coerce_float,
    NDArrayField: _coerce_array,
    TorchTensorField: _coerce_tensor,
    BytesField: _coerce_bytes,
    JSONField: _coerce_json,
}


def _unpack_0d(value: Any) -> Any:
    return value.item() if (isinstance(value, np.ndarray) or is_tensor(value)) and value.ndim == 0 else value


def describe_value(value: Any) -> str:
    """What a value is, for errors: dtype and shape, or its type."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} array of shape {value.shape}"
    if is_tensor(value):
        return f"{_torch_name(value.dtype)} tensor of shape {tuple(value.shape)}"
    return type(value).__name__


def _describe_array(noun: str, field: NDArrayField) -> str:
    return f"{field.dtype} {noun} of shape {tuple(int(n) for n in field.shape)}"


def _torch_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
