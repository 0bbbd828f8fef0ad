"""Random erasing: a box of each image painted over (Zhong et al., arXiv:1708.04896)."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.geometry.erase import random_erasing
from ffcv_hydra.operations.arguments import interval, number
from ffcv_hydra.operations.image_chain import ImageFunction, ImageFunctionOperation, parameter_block
from ffcv_hydra.operations.image_operation import ImageOperation
from ffcv_hydra.operations.operation import AllocationQuery, State
from ffcv_hydra.operations.pixels import check_colour, colour, pixel_sizes, row_of


class RandomErasing(ImageOperation, ImageFunctionOperation):
    """Paint a random box of each image over with probability `p`, as `torchvision.transforms.v2.RandomErasing`.

    Takes images (N, H, W, C) of any dtype.

    Args:
        p: probability of a box.
        scale: [smallest, largest] area of the box, as a share of the image's.
        ratio: [smallest, largest] height / width of the box.
        value: a number in the images' unit (levels of 0 to 255 for uint8), a list of one per channel, or "random" for
            uint8 images: each value of the box drawn on its own, uniform in 0 to 255 (torchvision draws from a normal
            distribution, which fits normalised images).
    """

    random: ClassVar[bool] = True
    in_place: ClassVar[bool] = True
    dtypes: ClassVar[tuple[Any, ...]] = ()
    channels: ClassVar[tuple[int, ...]] = ()

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float | Sequence[float] | str = 0,
    ) -> None:
        super().__init__()
        self.p = number("RandomErasing", "p", p, 0, 1)
        self.scale = interval("RandomErasing", "scale", scale, low=0, high=1)
        self.ratio = interval("RandomErasing", "ratio", ratio, low=0, above=True)
        if isinstance(value, str) and value != "random":
            raise PipelineError(f"RandomErasing: value is a number, a list of one per channel, or random; got {value}")
        self.value = value if isinstance(value, str) else colour("RandomErasing", "value", value)

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The previous state, and memory for a copy.

        Raises:
            PipelineError: the images cannot hold `value`.
        """
        declared = super().declare_state_and_memory(previous_state)
        if not isinstance(self.value, str):
            check_colour("value", self.value, previous_state)
        elif np.dtype(previous_state.dtype) != np.uint8:
            raise PipelineError(f"value random takes uint8 images; got {previous_state.dtype}; put it earlier")
        return declared

    def image_function(self, shape: tuple[int, ...], dtype: np.dtype) -> ImageFunction:
        """The function for images of a shape and dtype."""
        sizes = pixel_sizes(shape, dtype)
        painted = () if isinstance(self.value, str) else (row_of(self.value, shape[1], shape[2], dtype),)
        address = painted[0].ctypes.data if painted else 0
        parameters = parameter_block(self.p, *self.scale, *self.ratio, *sizes, address)
        return ImageFunction(random_erasing, parameters, math.prod(sizes), in_place=True, owned=painted)
