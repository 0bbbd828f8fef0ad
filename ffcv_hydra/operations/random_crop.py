"""A random part of images that all have one size, after padding them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.state import State

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.pad_crop import CONSTANT, EDGE, REFLECT, SYMMETRIC, random_pad_crop
from ffcv_hydra.operations.arguments import size_pair
from ffcv_hydra.operations.base import Chunk
from ffcv_hydra.operations.image_operation import ImageOperation
from ffcv_hydra.operations.pixels import as_bytes, check_colour, colour, colour_bytes

_MODES = {"constant": CONSTANT, "edge": EDGE, "reflect": REFLECT, "symmetric": SYMMETRIC}


class RandomCrop(ImageOperation):
    """Pad each image and cut a part out at a random place, as `torchvision.transforms.v2.RandomCrop`.

    Takes images (N, H, W, C) of any dtype.

    Args:
        size: [height, width] of the part in pixels, or one number for both.
        padding: pixels on every side, [left and right, top and bottom], or [left, top, right, bottom].
        fill: what "constant" pads with: a number, or a list of one per channel.
        padding_mode: "constant", "edge", "reflect" (without repeating the edge) or "symmetric" (repeating it).
    """

    random: ClassVar[bool] = True
    geometric: ClassVar[bool] = True
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

    def run(self, source: np.ndarray, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` (N, height, width, C)."""
        padding, mode = np.array(self.padding, dtype=np.int64), _MODES[self.padding_mode]
        fill = colour_bytes(self.fill, source)
        random_pad_crop(chunk.keys, padding, mode, fill, as_bytes(source), as_bytes(target))


def _sides(padding: int | Sequence[int]) -> tuple[int, ...]:
    """Left, top, right and bottom."""
    sides = (padding,) if isinstance(padding, int) else tuple(padding) if isinstance(padding, Sequence) else ()
    if len(sides) not in (1, 2, 4) or not all(isinstance(side, int) and side >= 0 for side in sides):
        raise PipelineError(f"RandomCrop: padding is one, two or four numbers of pixels from 0 on; got {padding}")
    return sides * (4 // len(sides))
