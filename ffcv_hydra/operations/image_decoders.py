"""Decoders of image fields: whole, resized, randomly cropped, or centre-cropped, resampled to one size."""

import copy
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.geometry.crop import random_resized_crop_boxes
from ffcv_hydra.kernels.geometry.pad_crop import draw_corners
from ffcv_hydra.kernels.images.windows import STORED_RAW
from ffcv_hydra.operations.arguments import interval, size_pair
from ffcv_hydra.operations.base import Chunk
from ffcv_hydra.operations.image_decoder import ImageDecoder
from ffcv_hydra.operations.random_crop import RandomCrop
from ffcv_hydra.operations.views import StoredImages


class SizedDecoder(ImageDecoder):
    """Base of the decoders whose output has a size that is chosen.

    Args:
        size: (height, width) of the output in pixels, or one number for both.
        interpolation, scaled_decoding: as in `ImageDecoder`.

    Both `size` and FFCV's name for it, `output_size`, may be set between two epochs.
    """

    def __init__(self, size: int | Sequence[int], interpolation: str = "area", scaled_decoding: bool = False) -> None:
        super().__init__(interpolation, scaled_decoding)
        self.size = size

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the output, in pixels; may be set to one number for both."""
        return self._size

    @size.setter
    def size(self, size: int | Sequence[int]) -> None:
        self._size = size_pair(type(self).__name__, size)

    output_size = size

    def with_size(self, size: int | Sequence[int]) -> Self:
        """A copy with another output size, which is random in the same way."""
        other = copy.copy(self)
        other.size = size
        return other


class RandomResizedCrop(SizedDecoder):
    """Decode a random part of the image, resampled to one size.

    Args:
        size: (height, width) of the output in pixels, or one number for both.
        scale: range of the part's area, as a share of the image's.
        ratio: range of the part's width / height.
        interpolation: `area`, `bilinear` (antialiased) or `nearest`; for masks always `nearest`.
        scaled_decoding: faster for photographs much larger than the output, with other pixels; see `ImageDecoder`.

    The boxes are distributed as those of `torchvision.transforms.RandomResizedCrop`.
    """

    random: ClassVar[bool] = True
    joint_parameters: ClassVar[tuple[str, ...]] = ("size", "scale", "ratio")

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: str = "area",
        scaled_decoding: bool = False,
    ) -> None:
        super().__init__(size, interpolation, scaled_decoding)
        self.scale = interval("RandomResizedCrop", "scale", scale, 0, 1, above=True)
        self.ratio = interval("RandomResizedCrop", "ratio", ratio, 0, above=True)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Those of the decoding, and that of the boxes."""
        return (*super().kernels, random_resized_crop_boxes)

    def boxes(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> np.ndarray:
        """int64 (N, 4): top, left, height, width, one random box per image."""
        boxes = np.empty((len(heights), 4), dtype=np.int64)
        random_resized_crop_boxes(keys, heights, widths, *self.scale, *self.ratio, boxes)
        return boxes


class CenterCrop(SizedDecoder):
    """Decode the central square of the image, resampled to one size.

    Args:
        size: (height, width) of the output in pixels, or one number for both.
        ratio: side of the square, as a share of the image's shorter side (0.875 is the usual 224 / 256).
        interpolation: `area`, `bilinear` (antialiased) or `nearest`; for masks always `nearest`.
        scaled_decoding: faster for photographs much larger than the output, with other pixels; see `ImageDecoder`.
    """

    joint_parameters: ClassVar[tuple[str, ...]] = ("size", "ratio")

    def __init__(
        self,
        size: int | Sequence[int],
        ratio: float = 1.0,
        interpolation: str = "area",
        scaled_decoding: bool = False,
    ) -> None:
        super().__init__(size, interpolation, scaled_decoding)
        if not 0 < ratio <= 1:
            raise PipelineError(f"CenterCrop: ratio must be in (0, 1]; got {ratio}")
        self.ratio = float(ratio)

    def boxes(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> np.ndarray:
        """int64 (N, 4): top, left, height, width of the central squares."""
        sides = np.maximum(1, (np.minimum(heights, widths) * self.ratio).astype(np.int64))
        return np.stack([(heights - sides) // 2, (widths - sides) // 2, sides, sides], axis=1)


class Resize(SizedDecoder):
    """Decode the whole image, stretched or squashed to one size.

    Args:
        size: (height, width) of the output in pixels. One number, which torchvision takes for the shorter side, is
            refused: see `ResizeShorterSide`.
        interpolation: `area`, `bilinear` (antialiased) or `nearest`; for masks always `nearest`.
        scaled_decoding: faster for photographs much larger than the output, with other pixels; see `ImageDecoder`.
    """

    joint_parameters: ClassVar[tuple[str, ...]] = ("size",)

    def __init__(self, size: Sequence[int], interpolation: str = "area", scaled_decoding: bool = False) -> None:
        if isinstance(size, int):
            raise PipelineError(
                f"Resize: size is [height, width]; one number is the shorter side to torchvision; got {size}: "
                f"[{size}, {size}] stretches, ResizeShorterSide cuts the centre out, LetterBox puts bars around"
            )
        super().__init__(size, interpolation, scaled_decoding)


class ResizeShorterSide(SizedDecoder):
    """Decode the image with its shorter side resized to a length, and cut the centre out of that.

    The same as torchvision's `Resize(shorter_side)` and `CenterCrop(size)` after it, with zeros around a resized image
    that is smaller than the output; only what is cut out is computed.

    Args:
        shorter_side: of the resized image, in pixels.
        size: (height, width) of the output in pixels, or one number for both.
        interpolation: `area`, `bilinear` (antialiased) or `nearest`; for masks always `nearest`.
        scaled_decoding: faster for photographs much larger than the output, with other pixels; see `ImageDecoder`.
    """

    joint_parameters: ClassVar[tuple[str, ...]] = ("shorter_side", "size")

    def __init__(
        self,
        shorter_side: int,
        size: int | Sequence[int],
        interpolation: str = "area",
        scaled_decoding: bool = False,
    ) -> None:
        super().__init__(size, interpolation, scaled_decoding)
        if type(shorter_side) is not int or shorter_side < 1:
            raise PipelineError(f"ResizeShorterSide: shorter_side is a number of pixels; got {shorter_side}")
        self.shorter_side = shorter_side

    def with_size(self, size: int | Sequence[int]) -> Self:
        """A copy with another output size that shows the same part of each image: `shorter_side` changes with it."""
        other = super().with_size(size)
        scale = math.sqrt(math.prod(other.size) / math.prod(self.size))
        other.shorter_side = max(1, round(self.shorter_side * scale))
        return other

    def placements(self, heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
        """int64 (N, 4): height and width of each resized image, and top and left of the output in it."""
        shorter = np.maximum(1, np.minimum(heights, widths))  # damaged metadata may say 0, which the kernels refuse
        resized = [(self.shorter_side * side / shorter).astype(np.int64) for side in (heights, widths)]
        offsets = [
            np.where(side < wanted, -((wanted - side) // 2), np.rint((side - wanted) / 2).astype(np.int64))
            for side, wanted in zip(resized, self.size, strict=True)
        ]
        return np.stack([*resized, *offsets], axis=1)


class WholeImage(ImageDecoder):
    """Decode images that all have one size, as they are; the default decoder of image fields.

    Attributes:
        crop: what cuts parts out, without padding, by the first of the chunk's `fused_keys`; only they are decoded.
    """

    crop: RandomCrop | None = None

    def __init__(self) -> None:
        super().__init__()

    def with_crop(self, crop: RandomCrop) -> Self:
        """A copy that decodes what `crop` cuts out."""
        other = copy.copy(self)
        other.crop = crop
        return other

    def accept_globals(self, metadata: np.ndarray, memory_read: Any) -> None:
        """FFCV's hook: which images there are."""
        super().accept_globals(metadata, memory_read)
        vars(self).pop("_stored_size", None)

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the stored images, or of what is cut out of them, in pixels.

        Raises:
            PipelineError: if the images' differ.
        """
        return self._stored_size if self.crop is None else self.crop.size

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Those of the decoding, and the one that draws where it is cut out."""
        return (*super().kernels, *(draw_corners,) * (self.crop is not None))

    def windows(self, images: StoredImages, chunk: Chunk) -> np.ndarray:
        """int64 (N, 9), with the parts that are cut out."""
        windows = super().windows(images, chunk)
        if self.crop is not None:
            windows[:, :2] = self.crop.corners(images.heights, images.widths, chunk.fused_keys[0])
            windows[:, 2:4] = self.crop.size
        return windows

    @cached_property
    def _stored_size(self) -> tuple[int, int]:
        heights, widths = self.metadata["height"], self.metadata["width"]
        if heights.min() != heights.max() or widths.min() != widths.max():
            raise PipelineError(
                f"images have sizes from {heights.min()} x {widths.min()} to {heights.max()} x {widths.max()} pixels; "
                "start the pipeline with RandomResizedCrop, CenterCrop, Resize, LetterBox or another decoder of one "
                "size; WholeImage is what a pipeline begins with that says nothing, that of another stage, too"
            )
        return int(heights.min()), int(widths.min())

    def is_stored_as_made(self, sizes: np.ndarray) -> bool:
        """Whether all images are stored as pixels, and whole ones are made."""
        is_whole = self.is_raw and self.crop is None
        return bool(is_whole and sizes.min() == sizes.max() == self.image_bytes and self.image_bytes)

    @property
    def is_raw(self) -> bool:
        """Whether all images are stored as pixels, all of which are looked at in any case."""
        modes = self.metadata["mode"]
        return bool(modes.min() == modes.max() == STORED_RAW and self.read_box is None)
