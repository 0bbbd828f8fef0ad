"""Cutout: a square of each image painted over (DeVries and Taylor, arXiv:1708.04552)."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.state import State

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.erase import draw_squares, erase
from ffcv_hydra.operations.base import Chunk
from ffcv_hydra.operations.image_operation import ImageOperation
from ffcv_hydra.operations.pixels import as_bytes, check_colour, colour, colour_bytes


class Cutout(ImageOperation):
    """Paint a square over, which lies wholly inside the image at a random place, as FFCV's of the same name.

    Takes images (N, H, W, C) of any dtype.

    Args:
        crop_size: side of the square, in pixels.
        fill: its colour: a number, or a list of one per channel; the mean that is subtracted later makes it grey.
    """

    random: ClassVar[bool] = True
    in_place: ClassVar[bool] = True
    dtypes: ClassVar[tuple[Any, ...]] = ()
    channels: ClassVar[tuple[int, ...]] = ()

    def __init__(self, crop_size: int, fill: float | Sequence[float] = 0) -> None:
        super().__init__()
        if not isinstance(crop_size, int) or crop_size < 0:
            raise PipelineError(f"Cutout: crop_size is a number of pixels from 0 on; got {crop_size}")
        self.crop_size = crop_size
        self.fill = colour("Cutout", "fill", fill)

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The previous state, and memory for a copy.

        Raises:
            PipelineError: the square does not fit into the images.
        """
        declared = super().declare_state_and_memory(previous_state)
        height, width, _ = previous_state.shape
        if self.crop_size > min(height, width):
            raise PipelineError(f"crop_size {self.crop_size} does not fit into images of {height} x {width} pixels")
        check_colour("fill", self.fill, previous_state)
        return declared

    def run(self, source: np.ndarray, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` with the images of `source` and their squares."""
        count, height, width, _ = source.shape
        boxes = np.empty((count, 4), dtype=np.int64)
        draw_squares(chunk.keys, self.crop_size, height, width, boxes)
        erase(boxes, colour_bytes(self.fill, source), as_bytes(source), as_bytes(target))
