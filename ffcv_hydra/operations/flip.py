"""Mirroring of images."""

import math
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.geometry.flip import random_horizontal_flip, random_vertical_flip
from ffcv_hydra.kernels.random.draws import draw_chosen
from ffcv_hydra.operations.arguments import number
from ffcv_hydra.operations.image_chain import ImageFunction, ImageFunctionOperation
from ffcv_hydra.operations.maps import Maps, upright
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.pixels import pixel_sizes


class _RandomFlip(ImageFunctionOperation):
    """Base: mirrors each image with probability `p`."""

    kernel: ClassVar[Kernel]
    random: ClassVar[bool] = True
    geometric = True
    joint_parameters: ClassVar[tuple[str, ...]] = ("p",)

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = number(type(self).__name__, "p", p, 0, 1)

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """The same shape and dtype."""
        if len(before.shape) not in (2, 3):
            raise PipelineError(f"takes (H, W) or (H, W, C); got {tuple(before.shape)}")
        return super().result(before)

    def _mirrored(self, keys: np.ndarray | None) -> np.ndarray:
        """bool (N,): which images it mirrors."""
        assert keys is not None
        mirrored = np.empty(len(keys), dtype=np.bool_)
        draw_chosen(keys, self.p, mirrored)
        return mirrored

    def image_functions(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[ImageFunction, ...]:
        """The one that mirrors."""
        sizes = pixel_sizes(shape, dtype)
        return (ImageFunction(self.kernel, (self.p, *sizes), math.prod(sizes)),)


class RandomHorizontalFlip(_RandomFlip):
    """Mirror each image left to right with probability `p`; arrays (N, H, W) or (N, H, W, C) of any dtype."""

    kernel = random_horizontal_flip

    def maps(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> Maps:
        """x goes to width - x, or stays."""
        mirrored = self._mirrored(keys)
        return Maps(upright(1 - 2.0 * mirrored, 1, mirrored * widths, np.zeros(len(widths))), heights, widths)

    def as_flip(self) -> float:
        """Its probability."""
        return self.p


class RandomVerticalFlip(_RandomFlip):
    """Mirror each image top to bottom with probability `p`; arrays (N, H, W) or (N, H, W, C) of any dtype."""

    kernel = random_vertical_flip

    def maps(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> Maps:
        """y goes to height - y, or stays."""
        mirrored = self._mirrored(keys)
        return Maps(upright(1, 1 - 2.0 * mirrored, np.zeros(len(widths)), mirrored * heights), heights, widths)
