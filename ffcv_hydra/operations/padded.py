"""Values of different lengths in one batch, padded with zeros, with their lengths: bytes, text and ragged arrays."""

import copy
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
import torch

from ffcv_hydra.beton import RaggedArrayField, TextField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.bytes_fields import BytesField
from ffcv_hydra.kernels.memory.gather import gather
from ffcv_hydra.operations.base import Chunk, ChunkDecoder, Extents
from ffcv_hydra.operations.dtypes import torch_dtype
from ffcv_hydra.operations.maps import spread, turned
from ffcv_hydra.operations.operation import State
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
    """Rows uint8 (N, 16 + longest): the length as an int64, eight zeros, the data, zeros up to the longest.

    With several sources the data of each comes at a place of its own, as long as the longest, behind the first.
    """

    field_types = (BytesField, TextField, RaggedArrayField)

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """uint8, a whole multiple of 16 bytes."""
        longest = self.num_sources * _longest(self.metadata)
        return (_PREFIX + -(-longest // _PREFIX) * _PREFIX,), np.dtype(np.uint8)

    def of_groups(self, group_sizes: tuple[int, ...]) -> Self:
        """A copy for what goes with images that operations of such groups make."""
        other = copy.copy(self)
        other.group_sizes = group_sizes
        return other

    def run(self, source: Extents, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target`, uint8 (N, 16 + longest)."""
        prefixes = target.view(np.int64)
        prefixes[:, 0] = source.sizes // _item_bytes(self.field)
        prefixes[:, 1] = 0
        sources = np.arange(len(target))[None]
        for size in self.group_sizes:
            sources = spread(sources, turned(len(target), size))
        for place, samples in enumerate(sources):  # in this order, since zeros come behind each
            column = _PREFIX + place * _longest(self.metadata)
            gather(source.data, source.offsets[samples], source.sizes[samples], target, column)


class SplitPrefixed(TensorOperation):
    """From the tensor of `PrefixedDecoder` to `PaddedBytes`, or `PaddedArray` for ragged arrays.

    Attributes:
        num_sources: of the decoder.
    """

    num_sources = 1

    def after(self, before: State) -> State:
        """Of the data; how long they are is found here, once."""
        self._longest = self.num_sources * _longest(self.metadata)
        if not isinstance(self.field, RaggedArrayField):
            return replace(before, shape=(self._longest,))
        if not self.field.is_one_each:  # the row has room for further ones
            self._longest = (before.shape[0] - _PREFIX) // self.field.item_bytes * self.field.item_bytes
        self._items = (self._longest // self.field.item_bytes, *self.field.item_shape)
        return replace(before, shape=self._items, dtype=torch_dtype(self.field.dtype))

    def apply(self, batch: torch.Tensor) -> PaddedBytes | PaddedArray:
        """Both parts of the batch."""
        data, lengths = batch[:, _PREFIX : _PREFIX + self._longest], batch.view(torch.int64)[:, 0].clone()
        if not isinstance(self.field, RaggedArrayField):
            return PaddedBytes(data, lengths)
        return PaddedArray(data.view(torch_dtype(self.field.dtype)).view(len(batch), *self._items), lengths)


def _longest(metadata: np.ndarray) -> int:
    return int(metadata["size"].max(initial=0))


def _item_bytes(field: Field) -> int:
    return field.item_bytes if isinstance(field, RaggedArrayField) else 1
