"""Default decoders of the fields that are no images; the same results as FFCV's, without compiling anything."""

from typing import Any

import numpy as np

from ffcv_hydra.beton import TextField
from ffcv_hydra.beton.fields.array_fields import NDArrayField
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField
from ffcv_hydra.kernels.memory.gather import gather
from ffcv_hydra.operations.base import Chunk, ChunkDecoder, Extents
from ffcv_hydra.operations.operation import State


class ScalarDecoder(ChunkDecoder):
    """Ints as int64 (N, 1), floats as float64 (N, 1), straight from the metadata."""

    field_types = (IntField, FloatField)
    reads_file = False

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """(1,) of the field's type."""
        return (1,), self.metadata.dtype

    def run(self, source: Any, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` (N, 1)."""
        target[:, 0] = self.metadata[chunk.samples]


class ArrayDecoder(ChunkDecoder):
    """Arrays and tensors, of the field's dtype and shape."""

    field_types = (NDArrayField,)

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """The field's shape and dtype."""
        return tuple(int(side) for side in self.field.shape), np.dtype(self.field.dtype)

    def run(self, source: Extents, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` (N, ...)."""
        gather(source.data, source.offsets, source.sizes, target.reshape(len(target), -1).view(np.uint8), 0)


class BytesDecoder(ChunkDecoder):
    """Bytes, text and JSON as uint8 (N, longest), each padded with zeros."""

    field_types = (BytesField, TextField)

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """uint8 (longest,)."""
        return (int(self.metadata["size"].max()),), np.dtype(np.uint8)

    def run(self, source: Extents, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target`, uint8 (N, longest)."""
        gather(source.data, source.offsets, source.sizes, target, 0)
