"""One property of an image's colours, changed by a random amount; or its colours taken away."""

import math
from typing import ClassVar

import numpy as np

from ffcv_hydra.kernels.images.array_changes import blend_float32, blend_int16, blend_uint8, blend_uint16
from ffcv_hydra.kernels.images.changes import (
    change_brightness,
    change_contrast,
    change_hue,
    change_saturation,
    take_colour,
)
from ffcv_hydra.operations.arguments import number
from ffcv_hydra.operations.image_operation import ARRAY_DTYPES
from ffcv_hydra.operations.randomly_applied import RandomlyApplied

BLENDS = {np.uint8: blend_uint8, np.uint16: blend_uint16, np.int16: blend_int16, np.float32: blend_float32}


class RandomFactor(RandomlyApplied):
    """Base: each image is changed by a factor that is uniform about one that changes nothing."""

    center: ClassVar[float] = 1  # the factor that changes nothing
    smallest: ClassVar[float] = 0
    largest_magnitude: ClassVar[float] = math.inf

    def __init__(self, magnitude: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.magnitude = number(type(self).__name__, "magnitude", magnitude, 0, self.largest_magnitude)
        self.amounts = max(self.smallest, self.center - self.magnitude), self.center + self.magnitude


class RandomBrightness(RandomFactor):
    """Multiply each image with probability `p` by a factor in [max(0, 1 - magnitude), 1 + magnitude].

    Takes images (N, H, W, C) of `ARRAY_DTYPES` and any channels; integers are cut to their dtype's range, floats stay
    as they come. The pixels are those of torchvision's `adjust_brightness`, the arguments those of FFCV.

    Raises:
        PipelineError: if magnitude is negative, or p no probability.
    """

    change = change_brightness
    changes = BLENDS
    dtypes = ARRAY_DTYPES
    channels = ()
    further_sizes = (0,)


class RandomContrast(RandomFactor):
    """Blend each image with its mean luminance with probability `p`; of other than 3 channels, each with its own mean.

    By a factor in [max(0, 1 - magnitude), 1 + magnitude]. Takes what `RandomBrightness` takes.

    The pixels are those of torchvision's `adjust_contrast`, the arguments those of FFCV.

    Raises:
        PipelineError: if magnitude is negative, or p no probability.
    """

    change = change_contrast
    changes = BLENDS
    dtypes = ARRAY_DTYPES
    channels = ()
    further_sizes = (1,)


class RandomSaturation(RandomFactor):
    """Blend each image with its grey version with probability `p`.

    By a factor in [max(0, 1 - magnitude), 1 + magnitude].

    The pixels are those of torchvision's `adjust_saturation`, the arguments those of FFCV. Images of one channel stay
    as they are.

    Raises:
        PipelineError: if magnitude is negative, or p no probability.
    """

    change = change_saturation


class RandomHue(RandomFactor):
    """Turn the hues of each image with probability `p` by a share of the circle in [-magnitude, magnitude].

    The pixels are those of torchvision's `adjust_hue`, within one level. Images of one channel stay as they are.

    Args:
        magnitude: at most 0.5, half of the circle.
        p: the probability.

    Raises:
        PipelineError: if magnitude is not from 0 to 0.5, or p no probability.
    """

    center = 0
    smallest = -0.5
    largest_magnitude = 0.5
    change = change_hue


class RandomGrayscale(RandomlyApplied):
    """Replace each image with probability `p` by its luminance, in all of its channels, as torchvision does."""

    change = take_colour

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)
