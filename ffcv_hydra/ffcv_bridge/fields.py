"""FFCV's fields as this package's: built-in ones become the same of ours, users' are wrapped.

Both are stored as FFCV stores them, to the byte.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from ffcv import fields as ffcv_fields

from ffcv_hydra.beton.fields.array_fields import NDArrayField, TorchTensorField
from ffcv_hydra.beton.fields.base import Field, Malloc
from ffcv_hydra.beton.fields.bytes_fields import BytesField, JSONField
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField
from ffcv_hydra.ffcv_bridge.wrapping import Wrapping
from ffcv_hydra.operations.dtypes import torch_dtype

# FFCV's class: ours, and what makes one of ours of an object of FFCV's.
_BUILT_IN: dict[type, tuple[type[Field], Callable[[Any], Field]]] = {
    ffcv_fields.FloatField: (FloatField, lambda _: FloatField()),
    ffcv_fields.IntField: (IntField, lambda _: IntField()),
    ffcv_fields.JSONField: (JSONField, lambda _: JSONField()),
    ffcv_fields.BytesField: (BytesField, lambda _: BytesField()),
    ffcv_fields.TorchTensorField: (
        TorchTensorField,
        lambda field: TorchTensorField(torch_dtype(field.dtype), field.shape),
    ),
    ffcv_fields.NDArrayField: (NDArrayField, lambda field: NDArrayField(field.dtype, field.shape)),
    ffcv_fields.RGBImageField: (
        RGBImageField,
        lambda field: RGBImageField(
            field.write_mode, field.max_resolution, field.smart_threshold, field.jpeg_quality, field.proportion
        ),
    ),
}


class _Wrapped(Wrapping, Field):
    """A user's field that is derived from one of FFCV's."""

    @property
    def holds_places(self) -> bool | None:  # type: ignore[override]
        """What the original says."""
        return getattr(self.original, "holds_places", None)

    @property
    def metadata_type(self) -> np.dtype:
        """The original's."""
        return self.original.metadata_type

    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """What the original does."""
        self.original.encode(destination, value, malloc)

    def to_binary(self) -> np.void:
        """The original's."""
        return self.original.to_binary()

    def get_decoder_class(self) -> type | None:
        """The original's: an operation of FFCV's kind."""
        return self.original.get_decoder_class()


class _WrappedArray(_Wrapped, NDArrayField):
    pass


class _WrappedBytes(_Wrapped, BytesField):
    pass


class _WrappedImage(_Wrapped, RGBImageField):
    pass


# Who derives a class from one of these is read as that is.
_WRAPPERS: dict[type, type[_Wrapped]] = {
    ffcv_fields.NDArrayField: _WrappedArray,
    ffcv_fields.BytesField: _WrappedBytes,
    ffcv_fields.RGBImageField: _WrappedImage,
}


def as_field(field: ffcv_fields.Field) -> Field:
    """The field of this package for one of FFCV's, or of a class derived from one."""
    built_in = _BUILT_IN.get(type(field))
    if built_in is not None:
        return built_in[1](field)
    wrapper = next((ours for theirs, ours in _WRAPPERS.items() if isinstance(field, theirs)), _Wrapped)
    return wrapper(field)


class FieldReader:
    """A class of FFCV's fields, as one that betons are read with."""

    def __init__(self, field_class: type[ffcv_fields.Field]) -> None:
        self.field_class = field_class

    def from_binary(self, binary: np.ndarray) -> Field:
        """The field that stored arguments, uint8 (1024,), describe."""
        built_in = _BUILT_IN.get(self.field_class)
        if built_in is not None:
            return built_in[0].from_binary(binary)
        with np.errstate(over="ignore"):  # FFCV multiplies whatever it takes for a shape
            return as_field(self.field_class.from_binary(binary))
