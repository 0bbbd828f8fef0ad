"""Fields of arrays and tensors of one dtype and shape."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ffcv_hydra.beton.fields.base import Field, Malloc
from ffcv_hydra.beton.format import ARGUMENTS

if TYPE_CHECKING:
    import torch

_HEADER = np.dtype([("shape", "<u8", 32), ("type_length", "<u8")])  # then the dtype, as JSON of NumPy's `descr`


class NDArrayField(Field):
    """Arrays of one dtype and shape.

    Args:
        dtype: of NumPy.
        shape: of every array.

    Attributes:
        element_size: bytes of an array.
    """

    type_id = 4
    called: ClassVar[str] = "array"

    def __init__(self, dtype: np.dtype, shape: Sequence[int]) -> None:
        self.dtype = np.dtype(dtype)
        self.shape = tuple(int(side) for side in shape)
        self.element_size = self.dtype.itemsize * math.prod(self.shape)

    @property
    def metadata_type(self) -> np.dtype:
        """Where the array lies."""
        return np.dtype("<u8")

    def to_binary(self) -> np.void:
        """Shape and dtype."""
        header = np.zeros(1, dtype=_HEADER)
        header["shape"][0][: len(self.shape)] = self.shape
        described = json.dumps(self.dtype.descr).encode("ascii")
        header["type_length"] = len(described)
        content = np.frombuffer(header.tobytes() + described, dtype=np.uint8)
        record = np.zeros(1, dtype=ARGUMENTS)[0]
        record[0][: len(content)] = content
        return record

    @classmethod
    def from_binary(cls, binary: np.ndarray) -> Field:
        """The field of the stored dtype and shape."""
        return cls(*_dtype_and_shape(binary))

    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """Store an array of the field's dtype and shape."""
        destination[0], storage = malloc(self.element_size)
        storage[:] = value.reshape(-1).view(np.uint8)


class TorchTensorField(NDArrayField):
    """Tensors of one dtype, of those that NumPy has too, and of one shape.

    Args:
        dtype: of torch.
        shape: of every tensor.

    Attributes:
        dtype: NumPy's.
    """

    type_id = 6
    called: ClassVar[str] = "tensor"

    def __init__(self, dtype: torch.dtype, shape: Sequence[int]) -> None:
        import torch  # slow to load, and whoever has a dtype of torch's has it

        super().__init__(torch.zeros(0, dtype=dtype).numpy().dtype, shape)

    @classmethod
    def from_binary(cls, binary: np.ndarray) -> Field:
        """The field of the stored dtype and shape."""
        import torch

        dtype, shape = _dtype_and_shape(binary)
        return cls(torch.from_numpy(np.empty(0, dtype=dtype)).dtype, shape)

    def encode(self, destination: np.ndarray, value: Any, malloc: Malloc) -> None:
        """Store a tensor on the CPU, of the field's dtype and shape."""
        super().encode(destination, value.numpy(), malloc)


def _dtype_and_shape(binary: np.ndarray) -> tuple[np.dtype, tuple[int, ...]]:
    header = binary[: _HEADER.itemsize].view(_HEADER)[0]
    described = binary[_HEADER.itemsize :][: header["type_length"]].tobytes().decode("ascii")
    ((name, dtype),) = json.loads(described)
    if name:
        raise ValueError("an array of records")
    shape = header["shape"].tolist()
    while shape and shape[-1] == 0:
        shape.pop()
    return np.dtype(dtype), tuple(shape)
