"""Cutout: a square of each image painted over (DeVries and Taylor, arXiv:1708.04552)."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.geometry.erase import cutout
from ffcv_hydra.operations.image_chain import ImageFunction, ImageFunctionOperation, parameter_block
from ffcv_hydra.operations.image_operation import ImageOperation
from ffcv_hydra.operations.operation import AllocationQuery, State
from ffcv_hydra.operations.pixels import check_colour, colour, pixel_sizes, row_of


class Cutout(ImageOperation, ImageFunctionOperation):
    """Paint a square over, which lies wholly inside the image at a random place, as FFCV's of the same name.

    Takes images (N, H, W, C) of any dtype.

    Args:
        crop_size: side of the square, in pixels.
        fill: its colour in levels, one or a list of one per channel; the mean that is subtracted later makes it grey.
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

    def image_function(self, shape: tuple[int, ...], dtype: np.dtype) -> ImageFunction:
        """The function for images of a shape and dtype."""
        painted = row_of(self.fill, shape[1], shape[2], dtype)
        parameters = parameter_block(*pixel_sizes(shape, dtype), self.crop_size, painted.ctypes.data)
        return ImageFunction(cutout, parameters, shape[0] * painted.nbytes, in_place=True, owned=(painted,))
