"""Shifting of images."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.geometry.pad_crop import CONSTANT
from ffcv_hydra.operations.image_chain import ImageFunction, ImageFunctionOperation
from ffcv_hydra.operations.image_operation import ImageOperation
from ffcv_hydra.operations.operation import AllocationQuery, State
from ffcv_hydra.operations.pixels import check_colour, colour
from ffcv_hydra.operations.random_crop import pad_crop_function


class RandomTranslate(ImageOperation, ImageFunctionOperation):
    """Shift each image by whole pixels, uniform in [-padding, padding] along each axis, as FFCV's of the same name.

    Takes images (N, H, W, C) of any dtype; the same as `RandomCrop` of the images' own size with that padding.

    Args:
        padding: the largest shift, in pixels.
        fill: what comes in at the edges, in levels: a number, or a list of one per channel.
    """

    random: ClassVar[bool] = True
    geometric = True
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

    def image_function(self, shape: tuple[int, ...], dtype: np.dtype) -> ImageFunction:
        """The function for images of a shape and dtype."""
        return pad_crop_function(shape, dtype, (shape[0], shape[1]), (self.padding,) * 4, CONSTANT, self.fill)
