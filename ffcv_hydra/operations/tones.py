"""Tones and sharpness, with the pixels of torchvision's functional transforms: solarize, posterize, equalize, ..."""

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.images.changes import (
    change_sharpness,
    flatten_histogram,
    invert_from,
    keep_bits,
    stretch_histogram,
)
from ffcv_hydra.operations.arguments import integer, number
from ffcv_hydra.operations.randomly_applied import RandomlyApplied


class RandomSolarize(RandomlyApplied):
    """Invert the values of each image that are at least `threshold`, with probability `p`.

    Args:
        threshold: a level, from 0, which inverts everything, to 255; what is meant for 0 to 1 is refused.
        p: the probability.

    Raises:
        PipelineError: if threshold is outside of these, or p no probability.
    """

    change = invert_from

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = number("RandomSolarize", "threshold", threshold, 0, 255)
        if 0 < self.threshold < 1:
            raise PipelineError(f"RandomSolarize: threshold is a level from 0 to 255, not a share; got {threshold}")
        self.amounts = self.threshold, self.threshold


class RandomInvert(RandomlyApplied):
    """Invert each image with probability `p`.

    Raises:
        PipelineError: if p is no probability.
    """

    change = invert_from


class RandomPosterize(RandomlyApplied):
    """Keep only the highest bits of each image's values, with probability `p`.

    Args:
        bits: how many are kept, from 0, which makes it black, to 8.
        p: the probability.

    Raises:
        PipelineError: if bits is outside of these, or p no probability.
    """

    change = keep_bits

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = integer("RandomPosterize", "bits", bits, 0, 8)
        self.amounts = self.bits, self.bits


class RandomEqualize(RandomlyApplied):
    """Flatten the histogram of each channel of each image, with probability `p`.

    Raises:
        PipelineError: if p is no probability.
    """

    change = flatten_histogram


class RandomAutocontrast(RandomlyApplied):
    """Stretch each channel of each image to the range from 0 to 255, with probability `p`.

    Raises:
        PipelineError: if p is no probability.
    """

    change = stretch_histogram


class RandomAdjustSharpness(RandomlyApplied):
    """Change the sharpness of each image by a factor, with probability `p`, as torchvision does (within one level).

    Args:
        sharpness_factor: 0 blurs, 1 changes nothing, 2 sharpens.
        p: the probability.

    Raises:
        PipelineError: if sharpness_factor is negative, or p no probability.
    """

    change = change_sharpness
    changes_in_place = False

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = number("RandomAdjustSharpness", "sharpness_factor", sharpness_factor, 0)
        self.amounts = self.sharpness_factor, self.sharpness_factor
