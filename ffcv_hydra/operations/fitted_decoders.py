"""Decoders that keep whole images, made to fit into one size with one colour around them, as detection wants them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.random.draws import draw_uniforms
from ffcv_hydra.operations.arguments import interval, is_sequence, number
from ffcv_hydra.operations.base import Extents
from ffcv_hydra.operations.image_decoder import Parts
from ffcv_hydra.operations.image_decoders import SizedDecoder
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.pixels import check_colour, colour, row_of


class FittedDecoder(SizedDecoder):
    """Base of those whose images may be smaller than the output.

    Args:
        size, interpolation, scaled_decoding: as in `SizedDecoder`.
        fill: the colour around the images, in levels: a number, or a list of one per channel.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: str = "area",
        scaled_decoding: bool = False,
        fill: float | Sequence[float] = 0,
    ) -> None:
        super().__init__(size, interpolation, scaled_decoding)
        self.fill = colour(type(self).__name__, "fill", fill)

    @property
    def around(self) -> np.ndarray | None:
        """The pixel of `fill`."""
        return row_of(self.fill, 1, self.channels, self.dtype) if any(self.fill) else None

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """(H, W, C) of the field's dtype.

        Raises:
            PipelineError: images cannot hold `fill`.
        """
        shape, dtype = super().result(before)
        check_colour("fill", self.fill, replace(before, shape=shape, dtype=dtype))
        return shape, dtype


class LetterBox(FittedDecoder):
    """Decode the whole image as large as it fits into the output, in its middle, with one colour around it.

    Args:
        size: (height, width) of the output in pixels, or one number for both.
        interpolation: `area`, `bilinear` (antialiased) or `nearest`; for masks always `nearest`.
        scaled_decoding: faster for photographs much larger than the output, with other pixels; see `ImageDecoder`.
        fill: the colour around it, in levels: a number, or a list of one per channel; masks have their own.
    """

    joint_parameters: ClassVar[tuple[str, ...]] = ("size",)

    def placements(self, heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
        """int64 (N, 4): height and width of each resized image, and top and left of the output in it, 0 or below."""
        resized = _resized(heights, widths, np.minimum(*_fitting(self.size, heights, widths)))
        return np.concatenate([resized, -((np.array(self.size) - resized) // 2)], axis=1)


class RandomShortestSide(FittedDecoder):
    """Decode the whole image with a shorter side that is drawn, in the output's upper left, with one colour around it.

    As `torchvision.transforms.v2.RandomShortestSize`, but that batches are of one size, which no image exceeds.

    Args:
        min_size: the shorter sides to draw from, in pixels; or one.
        size: (height, width) of the output in pixels, or one number for both.
        interpolation: `area`, `bilinear` (antialiased) or `nearest`; for masks always `nearest`.
        scaled_decoding: faster for photographs much larger than the output, with other pixels; see `ImageDecoder`.
        fill: the colour around it, in levels: a number, or a list of one per channel; masks have their own.
    """

    random: ClassVar[bool] = True
    joint_parameters: ClassVar[tuple[str, ...]] = ("min_size", "size")

    def __init__(
        self,
        min_size: int | Sequence[int],
        size: int | Sequence[int],
        interpolation: str = "area",
        scaled_decoding: bool = False,
        fill: float | Sequence[float] = 0,
    ) -> None:
        super().__init__(size, interpolation, scaled_decoding, fill)
        sides: Any = tuple(min_size) if is_sequence(min_size) else (min_size,)  # type: ignore[arg-type]
        if not sides or not all(type(side) is int and side > 0 for side in sides):
            raise PipelineError(f"RandomShortestSide: min_size is a list of numbers of pixels; got {min_size}")
        self.min_size = sides

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Those of the decoding, and the one that draws."""
        return (*super().kernels, draw_uniforms)

    def parts(
        self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None, boxes: Extents | None = None
    ) -> Parts:
        """The whole images, and where they are put; draw 0 chooses the side."""
        chosen = np.array(self.min_size)[(_drawn(keys, 1)[:, 0] * len(self.min_size)).astype(np.int64)]
        scales = chosen / np.maximum(1, np.minimum(heights, widths))
        resized = _resized(heights, widths, np.minimum(scales, np.minimum(*_fitting(self.size, heights, widths))))
        return Parts(self.boxes(heights, widths, keys), np.concatenate([resized, np.zeros_like(resized)], axis=1))


class RandomZoomOut(FittedDecoder):
    """Decode the whole image, stretched to the output; with probability `p` smaller, at a random place in one colour.

    As `torchvision.transforms.v2.RandomZoomOut`, and `Resize` to the output after it.

    Args:
        size: (height, width) of the output in pixels, or one number for both.
        side_range: range of how many times larger than the image the canvas is, from 1 on; uniform.
        p: how often it is zoomed at all.
        interpolation: `area`, `bilinear` (antialiased) or `nearest`; for masks always `nearest`.
        scaled_decoding: faster for photographs much larger than the output, with other pixels; see `ImageDecoder`.
        fill: the colour around it, in levels: a number, or a list of one per channel; masks have their own.
    """

    random: ClassVar[bool] = True
    joint_parameters: ClassVar[tuple[str, ...]] = ("size", "side_range", "p")

    def __init__(
        self,
        size: int | Sequence[int],
        side_range: Sequence[float] = (1.0, 4.0),
        p: float = 0.5,
        interpolation: str = "area",
        scaled_decoding: bool = False,
        fill: float | Sequence[float] = 0,
    ) -> None:
        super().__init__(size, interpolation, scaled_decoding, fill)
        self.side_range = interval("RandomZoomOut", "side_range", side_range, 1)
        self.p = number("RandomZoomOut", "p", p, 0, 1)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Those of the decoding, and the one that draws."""
        return (*super().kernels, draw_uniforms)

    def parts(
        self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None, boxes: Extents | None = None
    ) -> Parts:
        """The whole images, and where they are put; draws: whether, by how much, top and left."""
        drawn, (low, high), size = _drawn(keys, 4), self.side_range, np.array(self.size)
        factors = np.where(drawn[:, 0] < self.p, low + (high - low) * drawn[:, 1], 1.0)
        resized = np.maximum(1, np.rint(size / factors[:, None]).astype(np.int64))
        offsets = (drawn[:, 2:] * (size - resized + 1)).astype(np.int64)
        return Parts(self.boxes(heights, widths, keys), np.concatenate([resized, -offsets], axis=1))


def _drawn(keys: np.ndarray | None, count: int) -> np.ndarray:
    """float64 (N, count), uniform in [0, 1): the first draws of N keys."""
    assert keys is not None
    drawn = np.empty((len(keys), count))
    draw_uniforms(keys, drawn)
    return drawn


def _fitting(size: tuple[int, int], heights: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By what factors images fill the height and the width of `size`; float64 (N,) each."""
    return size[0] / np.maximum(1, heights), size[1] / np.maximum(1, widths)


def _resized(heights: np.ndarray, widths: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """int64 (N, 2): the nearest whole sides of images that are `scales` times as large, from 1 on."""
    return np.maximum(1, np.rint(np.stack([heights, widths], axis=1) * scales[:, None])).astype(np.int64)
