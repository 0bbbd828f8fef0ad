"""Mirroring of images."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.state import State

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.flip import random_horizontal_flip
from ffcv_hydra.operations.base import Chunk, ChunkOperation


class RandomHorizontalFlip(ChunkOperation):
    """Mirror each image left to right with probability `p`; arrays (N, H, W) or (N, H, W, C) of any dtype."""

    random: ClassVar[bool] = True

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise PipelineError(f"RandomHorizontalFlip: p is a probability; got {p}")
        self.p = float(p)

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The previous state, and memory for a copy."""
        if len(previous_state.shape) not in (2, 3):
            raise PipelineError(f"RandomHorizontalFlip takes (H, W) or (H, W, C); got {tuple(previous_state.shape)}")
        return replace(previous_state), AllocationQuery(previous_state.shape, previous_state.dtype)

    def run(self, source: np.ndarray, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` with the samples of `source`, mirrored or not."""
        pixels = (*source.shape[:3], -1)
        random_horizontal_flip(
            chunk.keys, self.p, source.view(np.uint8).reshape(pixels), target.view(np.uint8).reshape(pixels)
        )
