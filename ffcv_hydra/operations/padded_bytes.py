"""Bytes of different lengths in one batch, with their lengths."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from ffcv.fields import BytesField
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.operation import Operation
from ffcv.pipeline.state import State

from ffcv_hydra.kernels.gather import gather
from ffcv_hydra.operations.base import Chunk, ChunkDecoder, Extents

_PREFIX = 8  # bytes of an int64 length


class PaddedBytes(NamedTuple):
    """What the default pipeline of a bytes field gives.

    Attributes:
        data: uint8 (N, longest), each row padded with zeros.
        lengths: int64 (N,), in bytes.
    """

    data: torch.Tensor
    lengths: torch.Tensor


class PrefixedBytesDecoder(ChunkDecoder):
    """Bytes as uint8 (N, 8 + longest): the length as an int64, then the data, padded with zeros."""

    field_types = (BytesField,)

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The state after the operation and the memory for it; rows are whole int64s."""
        longest = int(self.metadata["size"].max(initial=0))
        shape, dtype = (_PREFIX + -(-longest // _PREFIX) * _PREFIX,), np.dtype(np.uint8)
        return replace(previous_state, jit_mode=True, shape=shape, dtype=dtype), AllocationQuery(shape, dtype)

    def run(self, source: Extents, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target`, uint8 (N, 8 + longest)."""
        target.view(np.int64)[:, 0] = source.sizes
        gather(source.data, source.offsets, source.sizes, target, _PREFIX)


class SplitPrefixedBytes(Operation):
    """From the tensor of `PrefixedBytesDecoder` to `PaddedBytes`."""

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, None]:
        """The state of the data."""
        self.longest = int(self.metadata["size"].max(initial=0))
        return replace(previous_state, shape=(self.longest,)), None

    def generate_code(self) -> Callable[..., PaddedBytes]:
        """A function of the whole batch."""
        longest = self.longest

        def split(batch: torch.Tensor, _: None) -> PaddedBytes:
            return PaddedBytes(batch[:, _PREFIX : _PREFIX + longest], batch.view(torch.int64)[:, 0])

        return split
