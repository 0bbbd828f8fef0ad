"""Default decoders of the fields that are no images; the same results as FFCV's, without compiling anything."""

from dataclasses import replace
from typing import Any

import numpy as np

from ffcv_hydra.beton import TextField
from ffcv_hydra.beton.fields.array_fields import NDArrayField
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField
from ffcv_hydra.kernels.memory.gather import gather
from ffcv_hydra.operations.base import Chunk, ChunkDecoder, Extents
from ffcv_hydra.operations.operation import AllocationQuery, State


class ScalarDecoder(ChunkDecoder):
    """Ints as int64 (N, 1), floats as float64 (N, 1), straight from the metadata."""

    field_types = (IntField, FloatField)
    reads_file = False

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The state after the operation, (1,) of the field's type, and the memory for it."""
        dtype = self.metadata.dtype
        return replace(previous_state, jit_mode=True, shape=(1,), dtype=dtype), AllocationQuery((1,), dtype)

    def run(self, source: Any, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` (N, 1)."""
        target[:, 0] = self.metadata[chunk.samples]


class ArrayDecoder(ChunkDecoder):
    """Arrays and tensors, of the field's dtype and shape."""

    field_types = (NDArrayField,)

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The state after the operation, the field's shape and dtype, and the memory for it."""
        shape = tuple(int(side) for side in self.field.shape)
        # TorchTensorField keeps a torch dtype before it is stored, and a NumPy one once it was read back
        dtype = np.dtype(self.field.dtype)
        return replace(previous_state, jit_mode=True, shape=shape, dtype=dtype), AllocationQuery(shape, dtype)

    def run(self, source: Extents, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` (N, ...)."""
        gather(source.data, source.offsets, source.sizes, target.reshape(len(target), -1).view(np.uint8), 0)


class BytesDecoder(ChunkDecoder):
    """Bytes, text and JSON as uint8 (N, longest), each padded with zeros."""

    field_types = (BytesField, TextField)

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The state after the operation, uint8 (longest,), and the memory for it."""
        shape, dtype = (int(self.metadata["size"].max()),), np.dtype(np.uint8)
        return replace(previous_state, jit_mode=True, shape=shape, dtype=dtype), AllocationQuery(shape, dtype)

    def run(self, source: Extents, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target`, uint8 (N, longest)."""
        gather(source.data, source.offsets, source.sizes, target, 0)
