"""Mirroring of images."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.state import State

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.flip import random_horizontal_flip, random_vertical_flip
from ffcv_hydra.operations.arguments import number
from ffcv_hydra.operations.base import Chunk, ChunkOperation
from ffcv_hydra.operations.pixels import as_bytes


class _RandomFlip(ChunkOperation):
    """Base: mirrors each image with probability `p`."""

    random: ClassVar[bool] = True
    geometric: ClassVar[bool] = True
    joint_parameters: ClassVar[tuple[str, ...]] = ("p",)

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = number(type(self).__name__, "p", p, 0, 1)

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The previous state, and memory for a copy."""
        if len(previous_state.shape) not in (2, 3):
            raise PipelineError(f"takes (H, W) or (H, W, C); got {tuple(previous_state.shape)}")
        return replace(previous_state), AllocationQuery(previous_state.shape, previous_state.dtype)


class RandomHorizontalFlip(_RandomFlip):
    """Mirror each image left to right with probability `p`; arrays (N, H, W) or (N, H, W, C) of any dtype."""

    def run(self, source: np.ndarray, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` with the samples of `source`, mirrored or not."""
        pixels, rows = as_bytes(source), (*source.shape[:2], -1)
        size = pixels.shape[3]
        random_horizontal_flip(chunk.keys, self.p, pixels.reshape(rows), as_bytes(target).reshape(rows), size)


class RandomVerticalFlip(_RandomFlip):
    """Mirror each image top to bottom with probability `p`; arrays (N, H, W) or (N, H, W, C) of any dtype."""

    def run(self, source: np.ndarray, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` with the samples of `source`, mirrored or not."""
        rows = (*source.shape[:2], -1)
        random_vertical_flip(chunk.keys, self.p, as_bytes(source).reshape(rows), as_bytes(target).reshape(rows))
