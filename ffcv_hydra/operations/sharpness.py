"""Sharper or softer images, by a fixed factor."""

import numpy as np

from ffcv_hydra.kernels.colour.sharpness import sharpen_chosen
from ffcv_hydra.operations.arguments import number
from ffcv_hydra.operations.randomly_applied import RandomlyApplied


class RandomAdjustSharpness(RandomlyApplied):
    """Change the sharpness of each image by a factor, with probability `p`, as torchvision does (within one level).

    Args:
        sharpness_factor: 0 blurs, 1 changes nothing, 2 sharpens.
        p: the probability.

    Raises:
        PipelineError: if sharpness_factor is negative, or p no probability.
    """

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = number("RandomAdjustSharpness", "sharpness_factor", sharpness_factor, 0)

    def apply(self, chosen: np.ndarray, keys: np.ndarray, source: np.ndarray, target: np.ndarray) -> None:
        """Fill `target`: of another sharpness where `chosen`, and a copy elsewhere."""
        sharpen_chosen(chosen, self.sharpness_factor, source, target)
