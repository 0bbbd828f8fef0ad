"""Masks of classes that a field would store as JPEG, which changes their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.image_fields import OwnImageField
from ffcv_hydra.beton.fields.inference import is_mask
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField

_LOSSY = ("jpg", "smart", "proportion")
_MODES = ("L", "P", "1", "I")
_FEW, _VOID = 32, 255  # numbers of classes of an ordinary mask, and what stands for none
_FLAT = 0.9  # the share of pixels that are as the next one


def lossy_masks(fields: Mapping[str, Field], item: Sequence[Any]) -> list[str]:
    """The names of the fields that store a mask as JPEG: by their names, or by what they hold beside a picture.

    Args:
        fields: by name, in the order of the item.
        item: one of the dataset, which has been stored already.
    """
    images = {
        name: _looks_like_mask(value)
        for (name, field), value in zip(fields.items(), item, strict=True)
        if isinstance(field, RGBImageField | OwnImageField)
    }
    has_picture = not all(images.values())  # drawings are as flat
    return [
        name
        for (name, field), value in zip(fields.items(), item, strict=True)
        if name in images
        and getattr(field, "write_mode", None) in _LOSSY
        and (is_mask(name, value) or (has_picture and images[name]))
    ]


def _looks_like_mask(value: Any) -> bool:
    """Whether an image has few and small numbers, or two, in areas."""
    if isinstance(value, Image.Image):
        if value.mode not in _MODES or value.format == "JPEG":
            return False
        value = np.asarray(value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biu":
        return False
    pixels = value[..., 0] if value.ndim == 3 and value.shape[2] == 1 else value
    if pixels.ndim != 2 or pixels.shape[1] < 2:
        return False
    numbers = np.unique(pixels)
    is_of_classes = ((numbers >= 0) & (numbers < _FEW) | (numbers == _VOID)).all()
    return bool(len(numbers) > 1 and is_of_classes and np.mean(pixels[:, 1:] == pixels[:, :-1]) >= _FLAT)
