"""RandAugment and TrivialAugment, with torchvision's operations and magnitudes."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.beton.fields.image_fields import MaskField
from ffcv_hydra.kernels.images import auto_augment as kernels
from ffcv_hydra.kernels.images import changes
from ffcv_hydra.operations.arguments import integer
from ffcv_hydra.operations.image_chain import ImageFunction
from ffcv_hydra.operations.image_operation import FillingOperation, ImageOperation
from ffcv_hydra.operations.maps import Maps
from ffcv_hydra.operations.pixels import pixel_sizes, row_of


@dataclass(frozen=True)
class Space:
    """The largest magnitudes of the operations; bins go there in equal steps from 0.

    Attributes:
        shear: slope.
        translate: in pixels, or None for 150/331 of the side.
        rotate: in degrees.
        factor: what is added to the factor 1 of brightness, colour, contrast and sharpness, or taken from it.
        lost_bits: of posterize.
    """

    shear: float
    translate: float | None
    rotate: float
    factor: float
    lost_bits: int


RAND_AUGMENT = Space(shear=0.3, translate=None, rotate=30, factor=0.9, lost_bits=4)
TRIVIAL_AUGMENT_WIDE = Space(shear=0.99, translate=32, rotate=135, factor=0.99, lost_bits=6)

# by the numbers of the operations; the first one changes nothing
_WARPS = (0, *[changes.map_nearest] * 5)
CHANGES = (
    *_WARPS, changes.change_brightness, changes.change_saturation, changes.change_contrast,
    changes.change_sharpness, changes.keep_bits, changes.invert_from, changes.stretch_histogram,
    changes.flatten_histogram,
)  # fmt: skip
_OF_MASKS = (*_WARPS, *[0] * (kernels.NUM_OPERATIONS - len(_WARPS)))


@functools.cache
def magnitude_table(space: Space, num_bins: int, height: int, width: int) -> np.ndarray:
    """float64 (14, num_bins): the magnitude of each operation of `kernels.auto_augment` in each bin."""
    table = np.zeros((kernels.NUM_OPERATIONS, num_bins))
    largest = {
        kernels.SHEAR_X: space.shear,
        kernels.SHEAR_Y: space.shear,
        kernels.TRANSLATE_X: 150 / 331 * width if space.translate is None else space.translate,
        kernels.TRANSLATE_Y: 150 / 331 * height if space.translate is None else space.translate,
        kernels.ROTATE: space.rotate,
        kernels.BRIGHTNESS: space.factor,
        kernels.COLOR: space.factor,
        kernels.CONTRAST: space.factor,
        kernels.SHARPNESS: space.factor,
    }
    for operation, end in largest.items():
        table[operation] = np.linspace(0, end, num_bins)
    table[kernels.POSTERIZE] = np.round(8 - np.linspace(0, space.lost_bits, num_bins))
    table[kernels.SOLARIZE] = np.linspace(1, 0, num_bins)
    table.flags.writeable = False
    return table


class AutoAugmentation(FillingOperation):
    """Base: operations drawn from a space, all equally likely, applied one after another to uint8 images.

    The space has identity, shear, translation, rotation (sampled at the nearest pixel), brightness, colour, contrast,
    sharpness, posterize, solarize, autocontrast and equalize. Masks are warped alone.
    """

    geometric = True
    joint_parameters: ClassVar[tuple[str, ...]] = ("num_ops", "magnitude", "num_magnitude_bins")
    dtypes: ClassVar[tuple[Any, ...]] = ImageOperation.dtypes
    channels: ClassVar[tuple[int, ...]] = ImageOperation.channels
    space: ClassVar[Space]
    num_ops = 1
    magnitude = -1  # a bin that is random

    def __init__(self, num_magnitude_bins: int, fill: Any) -> None:
        super().__init__(fill)
        name = type(self).__name__
        self.num_magnitude_bins = integer(name, "num_magnitude_bins", num_magnitude_bins, 2)

    def maps(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> Maps:
        """One of each operation; the images are of one size."""
        height, width = (int(sides[0]) if len(sides) else 0 for sides in (heights, widths))
        table = magnitude_table(self.space, self.num_magnitude_bins, height, width).reshape(-1)
        matrices = np.empty((self.num_ops, len(heights), 2, 3))
        kernels.draw_policy_maps(keys, self.magnitude, table, self.num_magnitude_bins, heights, widths, matrices)
        return Maps(matrices, heights, widths)

    def image_functions(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[ImageFunction, ...]:
        """One for each operation that an image goes through."""
        sizes, fill = pixel_sizes(shape, dtype), row_of(self.fill, 1, shape[2], dtype)
        table = magnitude_table(self.space, self.num_magnitude_bins, *sizes[:2])
        changed = _OF_MASKS if isinstance(self.field, MaskField) else CHANGES
        shared = self.magnitude, self.num_magnitude_bins, table, *changed, *sizes, fill
        return tuple(
            ImageFunction(kernels.augment, (number, *shared), math.prod(sizes)) for number in range(self.num_ops)
        )


class RandAugment(AutoAugmentation):
    """RandAugment (Cubuk et al., https://arxiv.org/abs/1909.13719), as `torchvision.transforms.v2.RandAugment`.

    Args:
        num_ops: how many operations each image goes through.
        magnitude: the bin of all magnitudes, less than num_magnitude_bins.
        num_magnitude_bins: in how many steps a magnitude goes from nothing to its largest.
        fill: level, or one per channel, of what a shear, translation or rotation leaves empty.

    Raises:
        PipelineError: for anything else.
    """

    space = RAND_AUGMENT

    def __init__(
        self, num_ops: int = 2, magnitude: int = 9, num_magnitude_bins: int = 31, fill: int | Sequence[int] = 0
    ) -> None:
        super().__init__(num_magnitude_bins, fill)
        self.num_ops = integer("RandAugment", "num_ops", num_ops, 0)
        self.magnitude = integer("RandAugment", "magnitude", magnitude, 0, self.num_magnitude_bins - 1)


class TrivialAugmentWide(AutoAugmentation):
    """TrivialAugment (Müller and Hutter, https://arxiv.org/abs/2103.10158), its wide space.

    One operation per image, of a random magnitude, as `torchvision.transforms.v2.TrivialAugmentWide`.

    Args:
        num_magnitude_bins: in how many steps a magnitude goes from nothing to its largest.
        fill: level, or one per channel, of what a shear, translation or rotation leaves empty.

    Raises:
        PipelineError: for anything else.
    """

    space = TRIVIAL_AUGMENT_WIDE

    def __init__(self, num_magnitude_bins: int = 31, fill: int | Sequence[int] = 0) -> None:
        super().__init__(num_magnitude_bins, fill)
