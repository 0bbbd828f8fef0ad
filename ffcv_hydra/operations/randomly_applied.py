"""Base of the transforms that are applied to an image with a probability, and leave it as it is otherwise."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from ffcv_hydra.kernels.random.draws import draw_chosen
from ffcv_hydra.operations.arguments import number
from ffcv_hydra.operations.base import Chunk
from ffcv_hydra.operations.image_operation import ImageOperation


class RandomlyApplied(ImageOperation):
    """A transform of uint8 images (N, H, W, 1 or 3) that each image goes through with probability `p`.

    Draw 0 of a sample's key decides; subclasses draw from 1 on.

    Raises:
        PipelineError: if p is no number from 0 to 1.
    """

    random: ClassVar[bool] = True

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = number(type(self).__name__, "p", p, 0, 1)

    def run(self, source: np.ndarray, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` with the images of `source`, transformed or not."""
        assert chunk.keys is not None
        chosen = np.empty(len(source), dtype=np.bool_)
        draw_chosen(chunk.keys, self.p, chosen)
        self.apply(chosen, chunk.keys, source, target)

    @abstractmethod
    def apply(self, chosen: np.ndarray, keys: np.ndarray, source: np.ndarray, target: np.ndarray) -> None:
        """Fill `target`: transformed where `chosen`, bool (N,), and a copy elsewhere."""
