"""Changes of tone, with the pixels of torchvision's functional transforms: solarize, posterize, equalize and others."""

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.colour.histogram import equalize_chosen, stretch_chosen
from ffcv_hydra.kernels.colour.tones import posterize_chosen, solarize_chosen
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

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = number("RandomSolarize", "threshold", threshold, 0, 255)
        if 0 < self.threshold < 1:
            raise PipelineError(f"RandomSolarize: threshold is a level from 0 to 255, not a share; got {threshold}")

    def apply(self, chosen: np.ndarray, keys: np.ndarray, source: np.ndarray, target: np.ndarray) -> None:
        """Fill `target`: solarized where `chosen`, and a copy elsewhere."""
        solarize_chosen(chosen, self.threshold, source, target)


class RandomInvert(RandomlyApplied):
    """Invert each image with probability `p`.

    Raises:
        PipelineError: if p is no probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def apply(self, chosen: np.ndarray, keys: np.ndarray, source: np.ndarray, target: np.ndarray) -> None:
        """Fill `target`: inverted where `chosen`, and a copy elsewhere."""
        solarize_chosen(chosen, 0.0, source, target)


class RandomPosterize(RandomlyApplied):
    """Keep only the highest bits of each image's values, with probability `p`.

    Args:
        bits: how many are kept, from 0, which makes it black, to 8.
        p: the probability.

    Raises:
        PipelineError: if bits is outside of these, or p no probability.
    """

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = integer("RandomPosterize", "bits", bits, 0, 8)

    def apply(self, chosen: np.ndarray, keys: np.ndarray, source: np.ndarray, target: np.ndarray) -> None:
        """Fill `target`: posterized where `chosen`, and a copy elsewhere."""
        posterize_chosen(chosen, self.bits, source, target)


class RandomEqualize(RandomlyApplied):
    """Flatten the histogram of each channel of each image, with probability `p`.

    Raises:
        PipelineError: if p is no probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def apply(self, chosen: np.ndarray, keys: np.ndarray, source: np.ndarray, target: np.ndarray) -> None:
        """Fill `target`: equalized where `chosen`, and a copy elsewhere."""
        equalize_chosen(chosen, source, target)


class RandomAutocontrast(RandomlyApplied):
    """Stretch each channel of each image to the range from 0 to 255, with probability `p`.

    Raises:
        PipelineError: if p is no probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def apply(self, chosen: np.ndarray, keys: np.ndarray, source: np.ndarray, target: np.ndarray) -> None:
        """Fill `target`: of full contrast where `chosen`, and a copy elsewhere."""
        stretch_chosen(chosen, source, target)
