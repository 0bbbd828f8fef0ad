"""A box of each image painted over: Cutout (DeVries and Taylor, arXiv:1708.04552) and random erasing (1708.04896)."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.geometry.erase import cutout, random_erasing
from ffcv_hydra.operations.arguments import interval, number
from ffcv_hydra.operations.image_chain import ImageFunction, ImageFunctionOperation
from ffcv_hydra.operations.image_operation import FillingOperation, ImageOperation
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.pixels import check_colour, colour, pixel_sizes, row_of


class Cutout(FillingOperation):
    """Paint a square over, which lies wholly inside the image at a random place, as FFCV's of the same name.

    Takes images (N, H, W, C) of any dtype.

    Args:
        crop_size: side of the square, in pixels.
        fill: its colour in levels, one or a list of one per channel; the mean that is subtracted later makes it grey.
    """

    def __init__(self, crop_size: int, fill: float | Sequence[float] = 0) -> None:
        super().__init__(fill)
        if not isinstance(crop_size, int) or crop_size < 0:
            raise PipelineError(f"Cutout: crop_size is a number of pixels from 0 on; got {crop_size}")
        self.crop_size = crop_size

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """The same shape and dtype.

        Raises:
            PipelineError: the square does not fit into the images.
        """
        result = super().result(before)
        height, width, _ = before.shape
        if self.crop_size > min(height, width):
            raise PipelineError(f"crop_size {self.crop_size} does not fit into images of {height} x {width} pixels")
        return result

    def image_functions(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[ImageFunction, ...]:
        """The one that paints."""
        sizes, painted = pixel_sizes(shape, dtype), row_of(self.fill, shape[1], shape[2], dtype)
        return (ImageFunction(cutout, (*sizes, self.crop_size, painted), math.prod(sizes), in_place=True),)


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

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """The same shape and dtype.

        Raises:
            PipelineError: the images cannot hold `value`.
        """
        result = super().result(before)
        if not isinstance(self.value, str):
            check_colour("value", self.value, before)
        elif np.dtype(before.dtype) != np.uint8:
            raise PipelineError(f"value random takes uint8 images; got {before.dtype}; put it earlier")
        return result

    def image_functions(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[ImageFunction, ...]:
        """The one that paints."""
        sizes = pixel_sizes(shape, dtype)
        painted = 0 if isinstance(self.value, str) else row_of(self.value, shape[1], shape[2], dtype)
        parameters = self.p, *self.scale, *self.ratio, *sizes, painted
        return (ImageFunction(random_erasing, parameters, math.prod(sizes), in_place=True),)
