"""The crop of SSD (Liu et al., arXiv:1512.02325), which is chosen by the boxes that lie in it."""

import copy
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from ffcv_hydra.beton.fields.places import BOX_FORMATS, BoundingBoxesField
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.geometry.iou_crop import random_iou_crops
from ffcv_hydra.kernels.memory.gather import gather
from ffcv_hydra.operations.arguments import integer, interval, numbers
from ffcv_hydra.operations.base import Extents
from ffcv_hydra.operations.image_decoder import Parts
from ffcv_hydra.operations.image_decoders import SizedDecoder

_OPTIONS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


class RandomIoUCrop(SizedDecoder):
    """Decode a random part of the image with a box's centre in it, stretched to the output.

    As `torchvision.transforms.v2.RandomIoUCrop`, and `Resize` to the output after it: of `sampler_options` one is
    drawn, and then parts, until one has an intersection over union of at least so much with a box. Boxes whose centres
    are left out are dropped. Of an image without boxes the whole is kept.

    The boxes are those of the field that `looks_at` names, or of the one that is joint with the image, or that there is
    at all; they are read even if no output has them. All other boxes in the image are dropped as they are.

    Args:
        size: (height, width) of the output in pixels, or one number for both.
        min_scale, max_scale: range of the part's height, and of its width, as shares of the image's.
        min_aspect_ratio, max_aspect_ratio: range of the part's width / height.
        sampler_options: the least intersections over union to draw from; from 1 on, the whole image is kept.
        trials: how many parts are drawn for one option, before another one is.
        interpolation: `area`, `bilinear` (antialiased) or `nearest`; for masks always `nearest`.
        scaled_decoding: faster for photographs much larger than the output, with other pixels; see `ImageDecoder`.
        looks_at: the name of the `BoundingBoxesField` whose boxes choose the part, where there are several.
    """

    random: ClassVar[bool] = True
    looks_at_boxes: ClassVar[bool] = True
    joint_parameters: ClassVar[tuple[str, ...]] = (
        "size", "min_scale", "max_scale", "min_aspect_ratio", "max_aspect_ratio", "sampler_options", "trials",
        "looks_at",
    )  # fmt: skip
    _box_format = 0

    def __init__(
        self,
        size: int | Sequence[int],
        min_scale: float = 0.3,
        max_scale: float = 1.0,
        min_aspect_ratio: float = 0.5,
        max_aspect_ratio: float = 2.0,
        sampler_options: Sequence[float] = _OPTIONS,
        trials: int = 40,
        interpolation: str = "area",
        scaled_decoding: bool = False,
        looks_at: str | None = None,
    ) -> None:
        super().__init__(size, interpolation, scaled_decoding)
        name, scales, ratios = "RandomIoUCrop", (min_scale, max_scale), (min_aspect_ratio, max_aspect_ratio)
        self.min_scale, self.max_scale = interval(name, "[min_scale, max_scale]", scales, 0, 1, above=True)
        self.min_aspect_ratio, self.max_aspect_ratio = interval(
            name, "[min_aspect_ratio, max_aspect_ratio]", ratios, 0, above=True
        )
        self.sampler_options = numbers(name, "sampler_options", sampler_options)
        if min(self.sampler_options) < 0:
            raise PipelineError(f"{name}: sampler_options are shares from 0 on; got {sampler_options}")
        self.trials = integer(name, "trials", trials, 1)
        self.looks_at = looks_at

    def looking_at(self, name: str, field: BoundingBoxesField) -> Self:
        """A copy for boxes of the field of that name."""
        other = copy.copy(self)
        other.looks_at, other._box_format = name, BOX_FORMATS.index(field.format)
        return other

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Those of the decoding, the one that searches, and that of the boxes' bytes."""
        return (*super().kernels, random_iou_crops, gather)

    def parts(
        self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None, boxes: Extents | None = None
    ) -> Parts:
        """One random part per image, and that boxes need their centres in it."""
        assert boxes is not None
        counts, crops = boxes.sizes // 16, np.empty((len(heights), 4), dtype=np.int64)
        rows = np.empty((len(heights), 16 * max(1, int(counts.max(initial=0)))), dtype=np.uint8)
        gather(boxes.data, boxes.offsets, boxes.sizes, rows, 0)
        bounds = np.array([self.min_scale, self.max_scale, self.min_aspect_ratio, self.max_aspect_ratio])
        options, corners = np.array(self.sampler_options), rows.view(np.float32)
        random_iou_crops(keys, heights, widths, corners, counts, self._box_format, bounds, options, self.trials, crops)
        return Parts(crops, self.placements(heights, widths), keeps_centred=True)
