"""Base of the transforms from images to images of the same shape and dtype."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations.base import ChunkOperation
from ffcv_hydra.operations.operation import AllocationQuery, State


class ImageOperation(ChunkOperation):
    """A transform of images (N, H, W, C) that keeps their shape and dtype and gives each output data of its own.

    Attributes:
        dtypes: the dtypes that it takes; any if empty.
        channels: the numbers of channels that it takes; any if empty.
    """

    dtypes: ClassVar[tuple[Any, ...]] = (np.uint8,)
    channels: ClassVar[tuple[int, ...]] = (1, 3)

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The previous state, and memory for a copy.

        Raises:
            PipelineError: for anything but images of a dtype and a number of channels that the operation takes.
        """
        shape, dtype = tuple(previous_state.shape), previous_state.dtype
        fits = (
            len(shape) == 3
            and (not self.channels or shape[2] in self.channels)
            and (not self.dtypes or np.dtype(dtype) in [np.dtype(known) for known in self.dtypes])
        )
        if not fits:
            kinds = " or ".join(np.dtype(known).name for known in self.dtypes) or "any dtype"
            sizes = " or ".join(map(str, self.channels)) or "any number of"
            raise PipelineError(f"takes images (H, W, C) of {kinds} with {sizes} channels; got {dtype} {shape}")
        return replace(previous_state), AllocationQuery(shape, dtype)
