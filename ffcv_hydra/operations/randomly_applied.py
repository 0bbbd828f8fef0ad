"""Base of the transforms that are applied to an image with a probability, and leave it as it is otherwise."""

from typing import ClassVar

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.random.draws import draw_chosen
from ffcv_hydra.operations.arguments import number
from ffcv_hydra.operations.base import Chunk
from ffcv_hydra.operations.image_operation import ImageOperation


class RandomlyApplied(ImageOperation):
    """A transform of uint8 images (N, H, W, 1 or 3) that each image goes through with probability `p`.

    Draw 0 of a sample's key decides; subclasses draw from 1 on. They name a kernel, or have an `apply` of their own.

    Attributes:
        kernel: takes `chosen`, the values of those attributes that `kernel_parameters` names, source and target.

    Raises:
        PipelineError: if p is no number from 0 to 1.
    """

    random: ClassVar[bool] = True
    kernel: ClassVar[Kernel]
    kernel_parameters: ClassVar[tuple[str, ...]] = ()

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = number(type(self).__name__, "p", p, 0, 1)

    def run(self, source: np.ndarray, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` with the images of `source`, transformed or not."""
        assert chunk.keys is not None
        chosen = np.empty(len(source), dtype=np.bool_)
        draw_chosen(chunk.keys, self.p, chosen)
        self.apply(chosen, chunk.keys, source, target)

    def apply(self, chosen: np.ndarray, keys: np.ndarray, source: np.ndarray, target: np.ndarray) -> None:
        """Fill `target`: transformed where `chosen`, bool (N,), and a copy elsewhere."""
        self.kernel(chosen, *(getattr(self, name) for name in self.kernel_parameters), source, target)
