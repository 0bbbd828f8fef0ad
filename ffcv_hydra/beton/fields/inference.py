"""Which field stores an item of a dataset's tuple, and under what name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ffcv_hydra.beton.fields.array_fields import NDArrayField, TorchTensorField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.bfloat16_field import BFloat16TensorField
from ffcv_hydra.beton.fields.bytes_fields import BytesField, JSONField
from ffcv_hydra.beton.fields.image_fields import MaskField
from ffcv_hydra.beton.fields.places import BOX_FORMATS, BoundingBoxesField, KeypointsField
from ffcv_hydra.beton.fields.random_access_image import RandomAccessImageField
from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField
from ffcv_hydra.beton.fields.text_field import TextField
from ffcv_hydra.beton.layout import MAX_ARRAY_DIMS
from ffcv_hydra.errors import ConversionError
from ffcv_hydra.loaded_torch import is_tensor, tv_tensor_kind

if TYPE_CHECKING:
    import torch

_MASK_NAMES = frozenset({"mask", "masks", "seg", "segmentation"})  # of images
_LABEL_NAMES = frozenset({"label", "labels"})  # of masks, or of photographs of labels
_FEW_COLOURS = 32
MAX_NAME_LENGTH = 16  # FFCV stores a name in 16 bytes and cuts what is longer, so that two names may collide
STORABLE_KINDS = "biufc"  # NumPy dtype kinds that are plain numbers; objects, strings and records are not


def infer_fields(item: Any, names: Sequence[str] | None = None, *, index: int | str = 0) -> dict[str, Field]:
    """The fields that store a dataset's item, in the order of the tuple.

    PIL image -> `RandomAccessImageField` as JPEG, but see `infer_field` of masks; int, bool and their NumPy and 0-d kin
    -> `IntField`; floats -> `FloatField`; 1-D uint8 ndarray -> `BytesField`; other ndarrays -> `NDArrayField` of that
    dtype and shape; str -> `TextField`; dict -> `JSONField`; tensor -> `TorchTensorField`, or `BFloat16TensorField`;
    torchvision's `BoundingBoxes` and `KeyPoints` -> `BoundingBoxesField` and `KeypointsField`.

    Args:
        item: One item of the dataset, a tuple.
        names: Field names, one per entry of the tuple. By default the kinds: `image`, `int`, `int_2`, ...
        index: Where `item` is in its dataset, for errors.

    Raises:
        ConversionError: if `item` is no tuple, an entry cannot be stored, or a name cannot be used.
    """
    check_is_tuple(item, index)
    if names is not None and len(names) != len(item):
        raise ConversionError(f"sample {index}: {len(item)} items, but {len(names)} field names: {list(names)}")
    given = [""] * len(item) if names is None else names
    fields = [infer_field(item[n], given[n], f"sample {index}, item {n}") for n in range(len(item))]
    chosen = default_names(fields) if names is None else list(names)
    check_names(chosen)
    return dict(zip(chosen, fields, strict=True))


def check_is_tuple(item: Any, index: int | str) -> None:
    """Raise `ConversionError` unless `item` is a tuple with at least one entry."""
    if not isinstance(item, tuple):
        kind = type(item).__name__
        raise ConversionError(f"sample {index}: expected a tuple, got {kind}; let the dataset return a tuple of items")
    if not item:
        raise ConversionError(f"sample {index}: the tuple is empty; let the dataset return at least one item")


def default_names(fields: Iterable[Field]) -> list[str]:
    """A name per field: its kind, with `_2`, `_3`, ... when a kind comes again."""
    names: list[str] = []
    counts: dict[str, int] = {}
    for field in fields:
        kind = field.label[: MAX_NAME_LENGTH - 4]  # room for a number
        counts[kind] = counts.get(kind, 0) + 1
        names.append(kind if counts[kind] == 1 else f"{kind}_{counts[kind]}")
    return names


def check_names(names: Sequence[str]) -> None:
    """Raise `ConversionError` unless every name is unique ASCII text of 1 to 16 characters."""
    for name in names:
        if not isinstance(name, str) or not name or not name.isascii() or not name.isprintable():
            raise ConversionError(f"field name {name!r}: use printable ASCII text")
        if len(name) > MAX_NAME_LENGTH:
            raise ConversionError(f"field name {name!r} has {len(name)} characters; use at most {MAX_NAME_LENGTH}")
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise ConversionError(f"field name {duplicates[0]!r} is used twice; give each field its own name")


def scalar_field(value: Any) -> Field | None:
    """`IntField` or `FloatField` if `value` is one number (Python, NumPy or 0-d), else None."""
    if (isinstance(value, np.ndarray) or is_tensor(value)) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (bool, int, np.bool_, np.integer)):
        return IntField()
    if isinstance(value, (float, np.floating)):
        return FloatField()
    return None


def is_mask(name: str, value: Any) -> bool:
    """Whether the last word of an image field's name says that it holds masks; of `label`, the image has a say."""
    word = name.lower().split("_")[-1]
    return word in _MASK_NAMES or (word in _LABEL_NAMES and not _has_many_colours(value))


def _has_many_colours(value: Any) -> bool:
    if isinstance(value, np.ndarray) and value.ndim == 3 and value.shape[2] > 1:
        value = Image.fromarray(value)
    return isinstance(value, Image.Image) and len(value.getbands()) > 1 and value.getcolors(_FEW_COLOURS) is None


def infer_field(value: Any, name: str, where: str) -> Field:
    """The field that stores one entry of an item.

    A PIL image under a name whose last word is `mask`, `seg`, `label` or the like is stored without loss: one of the
    modes L, P, 1 and I by a `MaskField`, another one raw; but a `label` of many colours is a photograph.

    Args:
        value: The entry.
        name: Of the field; empty if it has none.
        where: What errors call the entry.

    Raises:
        ConversionError: if it cannot be stored.
    """
    if isinstance(value, Image.Image):
        holds_classes = is_mask(name, value)
        if holds_classes and (value.mode in ("L", "P", "1") or value.mode.startswith("I")):
            return MaskField()
        return RandomAccessImageField(write_mode="raw" if holds_classes else "jpg")
    number = scalar_field(value)
    if number is not None:
        return number
    if isinstance(value, np.ndarray):
        return _infer_array(value, where)
    if tv_tensor_kind(value) in ("BoundingBoxes", "KeyPoints"):
        return _infer_places(value, where)
    if is_tensor(value):
        return _infer_tensor(value, where)
    if isinstance(value, str):
        return TextField()
    if isinstance(value, dict):
        return JSONField()
    hint = {
        bytes: "use np.frombuffer(value, np.uint8)",
        list: "use an array or a dict",
        tuple: "use an array or a dict",
        type(None): "let every sample have a value",
    }.get(type(value), "return a PIL image, number, array, tensor, str or dict, or name a field class of your own")
    raise ConversionError(f"{where}: cannot store a {type(value).__name__}; {hint}")


def _infer_places(value: Any, where: str) -> Field:
    if tv_tensor_kind(value) == "KeyPoints":
        return KeypointsField(num_points=value.shape[-2] if value.ndim > 2 else 1)
    box_format = value.format.value.lower()
    if box_format not in BOX_FORMATS:
        raise ConversionError(f"{where}: cannot store boxes of format {box_format}; use {', '.join(BOX_FORMATS)}")
    return BoundingBoxesField(box_format)


def _infer_array(value: np.ndarray, where: str) -> Field:
    if value.dtype.kind not in STORABLE_KINDS:
        raise ConversionError(f"{where}: cannot store an array of dtype {value.dtype}; use numbers")
    if value.ndim == 1 and value.dtype == np.uint8:
        return BytesField()
    _check_shape(value.shape, where)
    return NDArrayField(value.dtype.newbyteorder("="), value.shape)


def _infer_tensor(value: torch.Tensor, where: str) -> Field:
    _check_shape(tuple(value.shape), where)
    if str(value.dtype) == "torch.bfloat16":
        return BFloat16TensorField(tuple(value.shape))
    try:
        return TorchTensorField(value.dtype, tuple(value.shape))
    except TypeError as error:  # float8 and other dtypes that NumPy does not know
        raise ConversionError(f"{where}: cannot store a tensor of dtype {value.dtype}; use torch.float32") from error


def _check_shape(shape: tuple[int, ...], where: str) -> None:
    if not shape:
        raise ConversionError(f"{where}: cannot store a 0-d array that is no number")
    if 0 in shape:
        raise ConversionError(f"{where}: cannot store an empty array of shape {shape}: FFCV loses its shape")
    if len(shape) > MAX_ARRAY_DIMS:
        raise ConversionError(f"{where}: an array of {len(shape)} dimensions; FFCV stores at most {MAX_ARRAY_DIMS}")
