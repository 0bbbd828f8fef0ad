"""Arrays whose length differs from sample to sample, such as boxes for detection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.beton.fields.base import Malloc
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.beton.fields.coercion import describe_value
from ffcv_hydra.beton.fields.own_field import OwnField
from ffcv_hydra.beton.layout import MAX_ARRAY_DIMS, MAX_PAGE_SIZE
from ffcv_hydra.errors import ConversionError


class RaggedArrayField(OwnField):
    """Arrays (n, *item_shape) of one dtype, with any n from 0 on: float32 (n, 4) for boxes.

    Args:
        dtype: Of the arrays, one that torch knows as well: `float32`, or `numpy.float32`.
        item_shape: Of one item, in front of which the arrays have n; `[]` for arrays (n,).
        follows: The field of boxes that items go with, one each, as labels of boxes do: items of boxes that are dropped
            are dropped, too, and a sample must have as many of both.

    Attributes:
        is_one_each: whether every item is a thing of its own; if not, as corners of polygons, items begin with the
            number of the thing that they are of, and may become more where it is moved.

    Raises:
        ConversionError: if an argument is impossible.
    """

    is_one_each: ClassVar[bool] = True
    kind = "ragged"
    dtype: np.dtype
    item_shape: tuple[int, ...]
    follows: str | None = None

    def __init__(self, dtype: Any, item_shape: Sequence[int] = (), follows: str | None = None) -> None:
        import torch  # slow to load, which betons without such a field are spared

        try:
            self.dtype = np.dtype(dtype).newbyteorder("=")
            torch.from_numpy(np.empty(0, dtype=self.dtype))
        except Exception as error:  # NumPy raises TypeError, ValueError and SyntaxError for what is no dtype
            raise ConversionError(f"RaggedArrayField: dtype is {dtype!r}; use one of NumPy's, as 'float32'") from error
        shape = None if isinstance(item_shape, str) or not isinstance(item_shape, Sequence) else tuple(item_shape)
        if shape is None or len(shape) >= MAX_ARRAY_DIMS or not all(type(side) is int and side > 0 for side in shape):
            raise ConversionError(f"RaggedArrayField: item_shape is {item_shape!r}; use a list of sizes, as [4]")
        self.item_shape, self.follows = shape, name_of_followed("RaggedArrayField", follows)
        if self.item_bytes > MAX_PAGE_SIZE:
            raise ConversionError(f"RaggedArrayField: an item of shape {shape} has over {MAX_PAGE_SIZE} bytes")

    @property
    def item_bytes(self) -> int:
        """Bytes of one item."""
        return self.dtype.itemsize * math.prod(self.item_shape)

    @property
    def metadata_type(self) -> np.dtype:
        """FFCV's hook: the columns `ptr` and `size`, of bytes."""
        return BytesField().metadata_type

    @property
    def holds_places(self) -> bool | None:  # type: ignore[override]
        """Whether items are boxes or points in an image, as 4 or 2 numbers each are; None if its name has to say so."""
        return self.item_shape[-1:] in ((2,), (4,)) or None

    def parameters(self) -> dict[str, Any]:
        """All arguments that are set."""
        return {"dtype": self.dtype.newbyteorder("<").str, "item_shape": list(self.item_shape)} | self._followed()

    def _followed(self) -> dict[str, Any]:
        return {} if self.follows is None else {"follows": self.follows}

    def num_items(self, metadata: np.ndarray) -> np.ndarray:
        """uint64 (N,): how many items samples with that metadata (N,) have."""
        return metadata["size"] // np.uint64(self.item_bytes)

    def num_owners(self, value: Any, metadata: np.ndarray) -> int:
        """Of how many things a sample's items are, with its value and metadata (1,): of one each."""
        return int(self.num_items(metadata)[0])

    def description(self) -> str:
        """As `ragged float32 (n, 4)`."""
        followed = "" if self.follows is None else f" of {self.follows}"
        return f"{self.kind} {self.dtype} {self._shape()}{followed}"

    def has_wrong_size(self, metadata: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Whether the bytes are no whole items, or more than are stored; bool (N,)."""
        return (metadata["size"] % np.uint64(self.item_bytes) != 0) | (metadata["size"] > sizes)

    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """FFCV's hook: store one array. Raises `ConversionError` if its dtype or shape is another (TRAPS W5)."""
        fits = (
            isinstance(value, np.ndarray)
            and value.dtype.newbyteorder("=") == self.dtype
            and value.ndim > 0
            and value.shape[1:] == self.item_shape
        )
        if not fits:
            raise ConversionError(f"expected {self.dtype} array of shape {self._shape()}, got {describe_value(value)}")
        content = np.ascontiguousarray(value, dtype=self.dtype.newbyteorder("<"))
        BytesField().encode(destination, content.reshape(-1).view(np.uint8), malloc)

    def _shape(self) -> str:
        return f"({', '.join(map(str, ('n', *self.item_shape)))}{',' if not self.item_shape else ''})"


def name_of_followed(kind: str, follows: Any) -> str | None:
    """`follows` as a field of class `kind` is given it; raises `ConversionError` if it is no name."""
    if follows is not None and not isinstance(follows, str):
        raise ConversionError(f"{kind}: follows is {follows!r}; use the name of a field with boxes")
    return follows
