"""A random part of images that all have one size, after padding them, and random shifts, which are that as well."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.geometry.pad_crop import CONSTANT, EDGE, REFLECT, SYMMETRIC, draw_corners, random_pad_crop
from ffcv_hydra.operations.arguments import one_of, size_pair
from ffcv_hydra.operations.image_chain import ImageFunction
from ffcv_hydra.operations.image_operation import FillingOperation
from ffcv_hydra.operations.maps import Maps, upright
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.pixels import pixel_sizes, row_of

_MODES = {"constant": CONSTANT, "edge": EDGE, "reflect": REFLECT, "symmetric": SYMMETRIC}


class RandomCrop(FillingOperation):
    """Pad each image and cut a part out at a random place, as `torchvision.transforms.v2.RandomCrop`.

    Takes images (N, H, W, C) of any dtype.

    Args:
        size: [height, width] of the part in pixels, or one number for both.
        padding: pixels on every side, [left and right, top and bottom], or [left, top, right, bottom].
        fill: what "constant" pads with, in levels: a number, or a list of one per channel.
        padding_mode: "constant", "edge", "reflect" (without repeating the edge) or "symmetric" (repeating it).
    """

    geometric = True
    joint_parameters: ClassVar[tuple[str, ...]] = ("size", "padding")

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] = 0,
        fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__(fill)
        self.size = size_pair("RandomCrop", size)
        self.padding = _sides(padding)
        self.padding_mode = one_of("RandomCrop", "padding_mode", padding_mode, _MODES)

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """The size of the parts, with channels, and the same dtype.

        Raises:
            PipelineError: the padded images are smaller than the part.
        """
        (height, width, channels), dtype = super().result(before)
        left, top, right, bottom = self.padding
        padded = height + top + bottom, width + left + right
        if padded[0] < self.size[0] or padded[1] < self.size[1]:
            raise PipelineError(
                f"images of {height} x {width} pixels, padded to {padded[0]} x {padded[1]}, are smaller than size "
                f"{self.size[0]} x {self.size[1]}; raise padding or lower size"
            )
        return (*self.size, channels), dtype

    def corners(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """int64 (N, 2): top and left of the parts in padded images of these sizes, by their keys."""
        return _corners(heights, widths, keys, self.size, self.padding)

    def maps(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> Maps:
        """The shifts by which parts are cut out."""
        return _pad_crop_maps(heights, widths, keys, self.size, self.padding)

    def image_functions(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[ImageFunction, ...]:
        """The one that pads and crops."""
        return _pad_crop_functions(shape, dtype, self.size, self.padding, _MODES[self.padding_mode], self.fill)


class RandomTranslate(FillingOperation):
    """Shift each image by whole pixels, uniform in [-padding, padding] along each axis, as FFCV's of the same name.

    Takes images (N, H, W, C) of any dtype; the same as `RandomCrop` of the images' own size with that padding.

    Args:
        padding: the largest shift, in pixels.
        fill: what comes in at the edges, in levels: a number, or a list of one per channel.
    """

    geometric = True
    joint_parameters: ClassVar[tuple[str, ...]] = ("padding",)

    def __init__(self, padding: int, fill: float | Sequence[float] = 0) -> None:
        super().__init__(fill)
        if not isinstance(padding, int) or padding < 0:
            raise PipelineError(f"RandomTranslate: padding is a number of pixels from 0 on; got {padding}")
        self.padding = padding

    def maps(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> Maps:
        """The shifts."""
        return _pad_crop_maps(heights, widths, keys, (heights, widths), (self.padding,) * 4)

    def image_functions(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[ImageFunction, ...]:
        """The one that pads and crops."""
        return _pad_crop_functions(shape, dtype, (shape[0], shape[1]), (self.padding,) * 4, CONSTANT, self.fill)


def _pad_crop_functions(
    shape: tuple[int, ...],
    dtype: np.dtype,
    size: tuple[int, int],
    padding: tuple[int, ...],
    mode: int,
    fill: Sequence[float],
) -> tuple[ImageFunction, ...]:
    """The function that pads images (H, W, C) and cuts a random part of (height, width) `size` out of them.

    Args:
        shape, dtype: of the images.
        size: of the part, in pixels.
        padding: left, top, right and bottom, in pixels.
        mode: of `kernels.pad_crop`.
        fill: what CONSTANT pads with, one number or one per channel.
    """
    filled = row_of(fill, size[1], shape[2], dtype)
    parameters = *pixel_sizes(shape, dtype), *size, *padding, mode, filled
    return (ImageFunction(random_pad_crop, parameters, size[0] * filled.nbytes),)


def _pad_crop_maps(
    heights: np.ndarray,
    widths: np.ndarray,
    keys: np.ndarray | None,
    size: tuple[int | np.ndarray, int | np.ndarray],
    padding: tuple[int, ...],
) -> Maps:
    """Those of `_pad_crop_functions`, by the same draws."""
    corners = _corners(heights, widths, keys, size, padding)
    matrices = upright(1, 1, padding[0] - corners[:, 1], padding[1] - corners[:, 0])
    return Maps(matrices, *(np.full_like(heights, side) for side in size))


def _corners(
    heights: np.ndarray,
    widths: np.ndarray,
    keys: np.ndarray | None,
    size: tuple[int | np.ndarray, int | np.ndarray],
    padding: tuple[int, ...],
) -> np.ndarray:
    left, top, right, bottom = padding
    corners = np.stack([heights + (top + bottom) - size[0], widths + (left + right) - size[1]], axis=1)
    draw_corners(keys, corners)
    return corners


def _sides(padding: int | Sequence[int]) -> tuple[int, ...]:
    """Left, top, right and bottom."""
    sides = (padding,) if isinstance(padding, int) else tuple(padding) if isinstance(padding, Sequence) else ()
    if len(sides) not in (1, 2, 4) or not all(isinstance(side, int) and side >= 0 for side in sides):
        raise PipelineError(f"RandomCrop: padding is one, two or four numbers of pixels from 0 on; got {padding}")
    return sides * (4 // len(sides))
