"""Shifting of images."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.state import State

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.pad_crop import CONSTANT, random_pad_crop
from ffcv_hydra.operations.base import Chunk
from ffcv_hydra.operations.image_operation import ImageOperation
from ffcv_hydra.operations.pixels import as_bytes, check_colour, colour, colour_bytes


class RandomTranslate(ImageOperation):
    """Shift each image by whole pixels, uniform in [-padding, padding] along each axis, as FFCV's of the same name.

    Takes images (N, H, W, C) of any dtype; the same as `RandomCrop` of the images' own size with that padding.

    Args:
        padding: the largest shift, in pixels.
        fill: what comes in at the edges: a number, or a list of one per channel.
    """

    random: ClassVar[bool] = True
    geometric: ClassVar[bool] = True
    joint_parameters: ClassVar[tuple[str, ...]] = ("padding",)
    dtypes: ClassVar[tuple[Any, ...]] = ()
    channels: ClassVar[tuple[int, ...]] = ()

    def __init__(self, padding: int, fill: float | Sequence[float] = 0) -> None:
        super().__init__()
        if not isinstance(padding, int) or padding < 0:
            raise PipelineError(f"RandomTranslate: padding is a number of pixels from 0 on; got {padding}")
        self.padding = padding
        self.fill = colour("RandomTranslate", "fill", fill)

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The previous state, and memory for a copy."""
        declared = super().declare_state_and_memory(previous_state)
        check_colour("fill", self.fill, previous_state)
        return declared

    def run(self, source: np.ndarray, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` with the shifted images of `source`."""
        padding = np.full(4, self.padding, dtype=np.int64)
        fill = colour_bytes(self.fill, source)
        random_pad_crop(chunk.keys, padding, CONSTANT, fill, as_bytes(source), as_bytes(target))
