"""Channels of images dropped at random."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.images.channel_dropout import drop_channels
from ffcv_hydra.operations.arguments import number
from ffcv_hydra.operations.image_chain import ImageFunction
from ffcv_hydra.operations.image_operation import FillingOperation
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.pixels import row_of


class ChannelDropout(FillingOperation):
    """Replace some channels of each image by a value, with probability `p`.

    Takes images (N, H, W, C) of any dtype.

    Args:
        p: the probability.
        count: how many channels, fewer than the images have; or [fewest, most], each with the same probability.
        fill: what a dropped channel is filled with, in levels: a number, or a list of one per channel.

    Raises:
        PipelineError: if an argument is impossible.
    """

    def __init__(self, p: float = 0.5, count: int | Sequence[int] = 1, fill: float | Sequence[float] = 0) -> None:
        super().__init__(fill)
        self.p = number("ChannelDropout", "p", p, 0, 1)
        bounds = tuple(count) if isinstance(count, Sequence) else (count, count)
        if len(bounds) != 2 or not all(type(one) is int for one in bounds) or not 1 <= bounds[0] <= bounds[1]:
            raise PipelineError(f"ChannelDropout: count is a number of channels or [fewest, most]; got {count}")
        self.count = bounds

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """The same shape and dtype.

        Raises:
            PipelineError: the images have no channel that is left.
        """
        shape, dtype = super().result(before)
        if self.count[1] >= shape[2]:
            raise PipelineError(f"count {self.count[1]} leaves no channel of images of {shape[2]}")
        return shape, dtype

    def image_functions(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[ImageFunction, ...]:
        """The one that drops."""
        itemsize, fill = np.dtype(dtype).itemsize, row_of(self.fill, 1, shape[2], dtype)
        parameters = self.p, shape[0] * shape[1], shape[2], itemsize, *self.count, fill
        return (ImageFunction(drop_channels, parameters, math.prod(shape) * itemsize, in_place=True),)
