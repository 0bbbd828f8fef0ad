"""Values of different lengths in one batch, padded with zeros, with their lengths: bytes, text and ragged arrays."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from ffcv_hydra.beton import RaggedArrayField, TextField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.kernels.memory.gather import gather
from ffcv_hydra.operations.base import Chunk, ChunkDecoder, Extents
from ffcv_hydra.operations.operation import AllocationQuery, State
from ffcv_hydra.operations.tensor_operation import TensorOperation

_PREFIX = 16  # bytes before the data: the length as an int64, and as many as align items of any dtype


class PaddedBytes(NamedTuple):
    """What the default pipeline of a bytes or text field gives.

    Attributes:
        data: uint8 (N, longest), each row padded with zeros; as long as the longest of the file.
        lengths: int64 (N,), in bytes.
    """

    data: torch.Tensor
    lengths: torch.Tensor


class PaddedArray(NamedTuple):
    """What the default pipeline of a ragged array field gives.

    Attributes:
        data: (N, longest, *item_shape) of the field's dtype, padded with zeros; as long as the longest of the file.
        lengths: int64 (N,), in items.
    """

    data: torch.Tensor
    lengths: torch.Tensor


class PrefixedDecoder(ChunkDecoder):
    """Rows uint8 (N, 16 + longest): the length as an int64, eight zeros, the data, zeros up to the longest."""

    field_types = (BytesField, TextField, RaggedArrayField)

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The state after the operation and the memory for it; rows are whole multiples of 16 bytes."""
        longest = int(self.metadata["size"].max(initial=0))
        shape, dtype = (_PREFIX + -(-longest // _PREFIX) * _PREFIX,), np.dtype(np.uint8)
        return replace(previous_state, jit_mode=True, shape=shape, dtype=dtype), AllocationQuery(shape, dtype)

    def run(self, source: Extents, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target`, uint8 (N, 16 + longest)."""
        prefixes = target.view(np.int64)
        prefixes[:, 0] = source.sizes // _item_bytes(self.field)
        prefixes[:, 1] = 0
        gather(source.data, source.offsets, source.sizes, target, _PREFIX)


class SplitPrefixed(TensorOperation):
    """From the tensor of `PrefixedDecoder` to `PaddedBytes`, or `PaddedArray` for ragged arrays."""

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, None]:
        """The state of the data."""
        longest = int(self.metadata["size"].max(initial=0)) // _item_bytes(self.field)
        if not isinstance(self.field, RaggedArrayField):
            return replace(previous_state, shape=(longest,)), None
        dtype = torch.from_numpy(np.empty(0, dtype=self.field.dtype)).dtype
        return replace(previous_state, shape=(longest, *self.field.item_shape), dtype=dtype), None

    def generate_code(self) -> Callable[..., PaddedBytes | PaddedArray]:
        """A function of the whole batch."""
        longest = int(self.metadata["size"].max(initial=0))
        if not isinstance(self.field, RaggedArrayField):
            return lambda batch, _: PaddedBytes(batch[:, _PREFIX : _PREFIX + longest], _lengths(batch))
        dtype = torch.from_numpy(np.empty(0, dtype=self.field.dtype)).dtype
        shape = (longest // self.field.item_bytes, *self.field.item_shape)

        def split(batch: torch.Tensor, _: None) -> PaddedArray:
            data = batch[:, _PREFIX : _PREFIX + longest].view(dtype)
            return PaddedArray(data.view(len(batch), *shape), _lengths(batch))

        return split


def _lengths(batch: torch.Tensor) -> torch.Tensor:
    return batch.view(torch.int64)[:, 0]


def _item_bytes(field: Field) -> int:
    return field.item_bytes if isinstance(field, RaggedArrayField) else 1
