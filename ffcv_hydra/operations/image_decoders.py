"""Decoders of RGB image fields: whole, randomly cropped, or centre-cropped, resampled to one size."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from ffcv.fields.rgb_image import RGBImageField
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.state import State

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.crop import random_resized_crop_boxes
from ffcv_hydra.kernels.image import STORED_AS_JPEG, decode_resized
from ffcv_hydra.operations.base import Chunk, ChunkDecoder, Extents, FailedSample


class ImageDecoder(ChunkDecoder):
    """Base: decodes each image and resamples one box of it."""

    field_types = (RGBImageField,)

    @abstractmethod
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output, in pixels."""

    @abstractmethod
    def boxes(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> np.ndarray:
        """int64 (N, 4): top, left, height, width of the part of each image that is kept."""

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The state after the operation, uint8 (H, W, 3), and the memory for it."""
        shape, dtype = (*self.output_size(), 3), np.dtype(np.uint8)
        return replace(previous_state, jit_mode=True, shape=shape, dtype=dtype), AllocationQuery(shape, dtype)

    def run(self, source: Extents, target: np.ndarray, chunk: Chunk) -> None:
        """Decode the chunk's images into `target`, uint8 (N, H, W, 3)."""
        stored = self.metadata[chunk.samples]
        heights, widths = stored["height"].astype(np.int64), stored["width"].astype(np.int64)
        modes = np.ascontiguousarray(stored["mode"])
        jpegs = modes == STORED_AS_JPEG
        scratch = chunk.scratch.pixels_for(int((heights * widths * jpegs).max()) * 3)
        decompressor = chunk.scratch.decompressor
        boxes = self.boxes(heights, widths, chunk.keys)
        failed = decode_resized(
            decompressor.handle,
            source.data,
            source.offsets,
            source.sizes,
            modes,
            heights,
            widths,
            boxes,
            scratch,
            target,
        )
        if failed >= 0:
            kind = f"JPEG ({decompressor.error()})" if jpegs[failed] else "raw image"
            raise FailedSample(failed, f"the {kind} cannot be decoded as {heights[failed]} x {widths[failed]} pixels")


class RandomResizedCrop(ImageDecoder):
    """Decode a random part of the image, resampled to one size.

    Args:
        size: (height, width) of the output in pixels, or one number for both.
        scale: range of the part's area, as a share of the image's.
        ratio: range of the part's width / height.

    The boxes are distributed as those of `torchvision.transforms.RandomResizedCrop`.
    """

    random: ClassVar[bool] = True

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
    ) -> None:
        super().__init__()
        self.size = _pair(size, "RandomResizedCrop")
        self.scale = _range(scale, "scale")
        self.ratio = _range(ratio, "ratio")
        if self.scale[1] > 1:
            raise PipelineError(f"RandomResizedCrop: scale is a share of the image's area, at most 1; got {scale}")

    def output_size(self) -> tuple[int, int]:
        """Height and width of the output, in pixels."""
        return self.size

    def boxes(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> np.ndarray:
        """int64 (N, 4): top, left, height, width, one random box per image."""
        boxes = np.empty((len(heights), 4), dtype=np.int64)
        random_resized_crop_boxes(keys, heights, widths, *self.scale, *self.ratio, boxes)
        return boxes


class CenterCrop(ImageDecoder):
    """Decode the central square of the image, resampled to one size.

    Args:
        size: (height, width) of the output in pixels, or one number for both.
        ratio: side of the square, as a share of the image's shorter side (0.875 is the usual 224 / 256).
    """

    def __init__(self, size: int | Sequence[int], ratio: float = 1.0) -> None:
        super().__init__()
        self.size = _pair(size, "CenterCrop")
        if not 0 < ratio <= 1:
            raise PipelineError(f"CenterCrop: ratio must be in (0, 1]; got {ratio}")
        self.ratio = float(ratio)

    def output_size(self) -> tuple[int, int]:
        """Height and width of the output, in pixels."""
        return self.size

    def boxes(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> np.ndarray:
        """int64 (N, 4): top, left, height, width of the central squares."""
        sides = np.maximum(1, (np.minimum(heights, widths) * self.ratio).astype(np.int64))
        return np.stack([(heights - sides) // 2, (widths - sides) // 2, sides, sides], axis=1)


class WholeImage(ImageDecoder):
    """Decode images that all have one size, as they are; the default decoder of RGB image fields."""

    def output_size(self) -> tuple[int, int]:
        """Height and width of the stored images, in pixels.

        Raises:
            PipelineError: if they differ.
        """
        heights, widths = self.metadata["height"], self.metadata["width"]
        if heights.min() != heights.max() or widths.min() != widths.max():
            raise PipelineError(
                f"images have sizes from {heights.min()} x {widths.min()} to {heights.max()} x {widths.max()} pixels; "
                "start the pipeline with RandomResizedCrop or CenterCrop"
            )
        return int(heights[0]), int(widths[0])

    def boxes(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> np.ndarray:
        """int64 (N, 4): the whole of each image."""
        zeros = np.zeros_like(heights)
        return np.stack([zeros, zeros, heights, widths], axis=1)


def _pair(size: int | Sequence[int], operation: str) -> tuple[int, int]:
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(side, int) and side > 0 for side in pair):
        raise PipelineError(f"{operation}: size is [height, width] in pixels, or one number; got {size}")
    return pair


def _range(values: Sequence[float], name: str) -> tuple[float, float]:
    pair = tuple(float(value) for value in values)
    if len(pair) != 2 or not 0 < pair[0] <= pair[1]:
        raise PipelineError(f"RandomResizedCrop: {name} is [smallest, largest], both above 0; got {values}")
    return pair
