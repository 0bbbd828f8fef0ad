"""One property of an image's colours, changed by a random amount; or its colours taken away."""

import math
from typing import ClassVar

import numpy as np

from ffcv_hydra.kernels.colour.contrast import change_contrast, change_saturation, grey_chosen
from ffcv_hydra.kernels.colour.hue import change_hue
from ffcv_hydra.kernels.colour.tones import change_brightness
from ffcv_hydra.kernels.random.draws import draw_uniform
from ffcv_hydra.operations.arguments import number
from ffcv_hydra.operations.randomly_applied import RandomlyApplied


class RandomFactor(RandomlyApplied):
    """Base: each image is changed by a factor, draw 1 of its key, uniform in `factor_range`."""

    center: ClassVar[float] = 1  # the factor that changes nothing
    smallest: ClassVar[float] = 0
    largest_magnitude: ClassVar[float] = math.inf

    def __init__(self, magnitude: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.magnitude = number(type(self).__name__, "magnitude", magnitude, 0, self.largest_magnitude)

    @property
    def factor_range(self) -> tuple[float, float]:
        """The smallest and the largest factor."""
        return max(self.smallest, self.center - self.magnitude), self.center + self.magnitude

    def apply(self, chosen: np.ndarray, keys: np.ndarray, source: np.ndarray, target: np.ndarray) -> None:
        """Fill `target`: changed where `chosen`, bool (N,), and a copy elsewhere."""
        factors = np.empty(len(source))
        draw_uniform(keys, 1, *self.factor_range, factors)
        self.kernel(chosen, factors, source, target)


class RandomBrightness(RandomFactor):
    """Multiply each image with probability `p` by a factor in [max(0, 1 - magnitude), 1 + magnitude].

    The pixels are those of torchvision's `adjust_brightness`, the arguments those of FFCV.

    Raises:
        PipelineError: if magnitude is negative, or p no probability.
    """

    kernel = change_brightness


class RandomContrast(RandomFactor):
    """Blend each image with its mean luminance with probability `p`.

    By a factor in [max(0, 1 - magnitude), 1 + magnitude].

    The pixels are those of torchvision's `adjust_contrast`, the arguments those of FFCV.

    Raises:
        PipelineError: if magnitude is negative, or p no probability.
    """

    kernel = change_contrast


class RandomSaturation(RandomFactor):
    """Blend each image with its grey version with probability `p`.

    By a factor in [max(0, 1 - magnitude), 1 + magnitude].

    The pixels are those of torchvision's `adjust_saturation`, the arguments those of FFCV. Images of one channel stay
    as they are.

    Raises:
        PipelineError: if magnitude is negative, or p no probability.
    """

    kernel = change_saturation


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
    kernel = change_hue


class RandomGrayscale(RandomlyApplied):
    """Replace each image with probability `p` by its luminance, in all of its channels, as torchvision does."""

    kernel = grey_chosen

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)
