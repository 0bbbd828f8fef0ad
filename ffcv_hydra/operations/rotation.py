"""Random rotation of images."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ffcv_hydra.operations.affine import AffineOperation
from ffcv_hydra.operations.arguments import symmetric_interval


class RandomRotation(AffineOperation):
    """Turn each image about its middle and keep its size, as `torchvision.transforms.v2.RandomRotation` on tensors.

    Takes images (N, H, W, C): of any dtype with nearest interpolation, uint8 with bilinear.

    Args:
        degrees: [smallest, largest] counter-clockwise angle, or one number x for [-x, x].
        interpolation: "nearest" or "bilinear".
        fill: what lies outside of the image, in levels: a number, or a list of one per channel.
    """

    joint_parameters: ClassVar[tuple[str, ...]] = ("degrees",)

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: str = "nearest",
        fill: float | Sequence[float] = 0,
    ) -> None:
        super().__init__(interpolation, fill)
        self.degrees = symmetric_interval("RandomRotation", "degrees", degrees)

    def ranges(self) -> np.ndarray:
        """float64 (4, 2): smallest and largest clockwise angle, and a scale and shears that change nothing."""
        return np.array([(-self.degrees[1], -self.degrees[0]), (1.0, 1.0), (0.0, 0.0), (0.0, 0.0)])
