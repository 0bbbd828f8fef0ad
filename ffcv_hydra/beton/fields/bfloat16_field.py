"""Tensors of a dtype that NumPy does not have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ffcv_hydra.beton.fields.array_fields import NDArrayField
from ffcv_hydra.beton.fields.base import Malloc
from ffcv_hydra.beton.fields.coercion import dense_tensor, describe_value
from ffcv_hydra.beton.fields.own_field import OwnField
from ffcv_hydra.beton.layout import MAX_ARRAY_DIMS, MAX_PAGE_SIZE
from ffcv_hydra.errors import ConversionError


class BFloat16TensorField(OwnField, NDArrayField):
    """bfloat16 tensors of one shape. The bits are stored as int16; the default pipeline gives bfloat16 tensors.

    Args:
        shape: Of every tensor.

    Raises:
        ConversionError: if the shape is impossible.
    """

    kind = "bfloat16_tensor"
    called = "tensor"

    def __init__(self, shape: Sequence[int]) -> None:
        sides = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else ()
        if not 0 < len(sides) <= MAX_ARRAY_DIMS or not all(type(side) is int and side > 0 for side in sides):
            raise ConversionError(f"BFloat16TensorField: shape is {shape!r}; use a list of sizes, as [3, 4]")
        if 2 * math.prod(sides) > MAX_PAGE_SIZE:
            raise ConversionError(f"BFloat16TensorField: tensors of shape {shape} have over {MAX_PAGE_SIZE} bytes")
        NDArrayField.__init__(self, np.dtype(np.int16), sides)

    def parameters(self) -> dict[str, Any]:
        """The shape."""
        return {"shape": [int(side) for side in self.shape]}

    def description(self) -> str:
        """As `tensor bfloat16 (3, 4)`."""
        return f"tensor bfloat16 {self.shape}"

    def has_wrong_size(self, metadata: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Whether the sizes, uint64 (N,), are not those of the shape; bool (N,)."""
        return sizes != int(self.element_size)

    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """FFCV's hook: store one tensor. Raises `ConversionError` if its dtype or shape is another."""
        import torch  # loaded, if there is a tensor

        expected = f"bfloat16 tensor of shape {self.shape}"
        value = dense_tensor(value, expected)
        if value.dtype != torch.bfloat16 or tuple(value.shape) != self.shape:
            raise ConversionError(f"expected {expected}, got {describe_value(value)}")
        NDArrayField.encode(self, destination, value.view(torch.int16).numpy(), malloc)
