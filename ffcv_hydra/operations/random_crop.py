"""A random part of images that all have one size, after padding them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.geometry.pad_crop import CONSTANT, EDGE, REFLECT, SYMMETRIC, random_pad_crop
from ffcv_hydra.operations.arguments import size_pair
from ffcv_hydra.operations.image_chain import ImageFunction, ImageFunctionOperation, parameter_block
from ffcv_hydra.operations.image_operation import ImageOperation
from ffcv_hydra.operations.operation import AllocationQuery, State
from ffcv_hydra.operations.pixels import check_colour, colour, pixel_sizes, row_of

_MODES = {"constant": CONSTANT, "edge": EDGE, "reflect": REFLECT, "symmetric": SYMMETRIC}


class RandomCrop(ImageOperation, ImageFunctionOperation):
    """Pad each image and cut a part out at a random place, as `torchvision.transforms.v2.RandomCrop`.

    Takes images (N, H, W, C) of any dtype.

    Args:
        size: [height, width] of the part in pixels, or one number for both.
        padding: pixels on every side, [left and right, top and bottom], or [left, top, right, bottom].
        fill: what "constant" pads with, in levels: a number, or a list of one per channel.
        padding_mode: "constant", "edge", "reflect" (without repeating the edge) or "symmetric" (repeating it).
    """

    random: ClassVar[bool] = True
    geometric = True
    joint_parameters: ClassVar[tuple[str, ...]] = ("size", "padding")
    dtypes: ClassVar[tuple[Any, ...]] = ()
    channels: ClassVar[tuple[int, ...]] = ()

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] = 0,
        fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = size_pair("RandomCrop", size)
        self.padding = _sides(padding)
        self.fill = colour("RandomCrop", "fill", fill)
        if padding_mode not in _MODES:
            raise PipelineError(f"RandomCrop: padding_mode is one of {', '.join(_MODES)}; got {padding_mode}")
        self.padding_mode = padding_mode

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The previous state with the new height and width, and memory for the parts.

        Raises:
            PipelineError: the padded images are smaller than the part.
        """
        super().declare_state_and_memory(previous_state)
        check_colour("fill", self.fill, previous_state)
        height, width, channels = previous_state.shape
        left, top, right, bottom = self.padding
        padded = height + top + bottom, width + left + right
        if padded[0] < self.size[0] or padded[1] < self.size[1]:
            raise PipelineError(
                f"images of {height} x {width} pixels, padded to {padded[0]} x {padded[1]}, are smaller than size "
                f"{self.size[0]} x {self.size[1]}; raise padding or lower size"
            )
        shape = (*self.size, channels)
        return replace(previous_state, shape=shape), AllocationQuery(shape, previous_state.dtype)

    def image_function(self, shape: tuple[int, ...], dtype: np.dtype) -> ImageFunction:
        """The function for images of a shape and dtype."""
        return pad_crop_function(shape, dtype, self.size, self.padding, _MODES[self.padding_mode], self.fill)


def pad_crop_function(
    shape: tuple[int, ...],
    dtype: np.dtype,
    size: tuple[int, int],
    padding: tuple[int, ...],
    mode: int,
    fill: Sequence[float],
) -> ImageFunction:
    """The function that pads images (H, W, C) and cuts a random part of (height, width) `size` out of them.

    Args:
        shape, dtype: of the images.
        size: of the part, in pixels.
        padding: left, top, right and bottom, in pixels.
        mode: of `kernels.pad_crop`.
        fill: what CONSTANT pads with, one number or one per channel.
    """
    sizes = pixel_sizes(shape, dtype)
    filled = row_of(fill, size[1], shape[2], dtype)
    parameters = parameter_block(*sizes, *size, *padding, mode, filled.ctypes.data)
    return ImageFunction(random_pad_crop, parameters, size[0] * filled.nbytes, owned=(filled,))


def _sides(padding: int | Sequence[int]) -> tuple[int, ...]:
    """Left, top, right and bottom."""
    sides = (padding,) if isinstance(padding, int) else tuple(padding) if isinstance(padding, Sequence) else ()
    if len(sides) not in (1, 2, 4) or not all(isinstance(side, int) and side >= 0 for side in sides):
        raise PipelineError(f"RandomCrop: padding is one, two or four numbers of pixels from 0 on; got {padding}")
    return sides * (4 // len(sides))
