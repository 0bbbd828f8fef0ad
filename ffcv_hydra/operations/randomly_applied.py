"""Base of the transforms that are applied to an image with a probability, and leave it as it is otherwise."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.images.randomly_applied import randomly_applied
from ffcv_hydra.operations.arguments import number
from ffcv_hydra.operations.image_chain import ImageFunction, ImageFunctionOperation
from ffcv_hydra.operations.image_operation import ImageOperation


class RandomlyApplied(ImageOperation, ImageFunctionOperation):
    """A transform of images (N, H, W, C) that each image goes through with probability `p`.

    Images are uint8 of 1 or 3 channels, and of what else `changes` names, where `dtypes` and `channels` say so.

    Draw 0 of a sample's key decides, draw 1 says by how much. Subclasses name the change that they make.

    Attributes:
        change: as in `kernels.images.changes`.
        changes: the same for each dtype of images of any channels, out of place, as in `kernels.images.array_changes`.
        changes_in_place: whether `change` may write over its source.
        amounts: the smallest and the largest amount that the change is given.
        further_sizes: what it takes behind height, width and channels.

    Raises:
        PipelineError: if p is no number from 0 to 1.
    """

    random: ClassVar[bool] = True
    keeps_classes: ClassVar[bool] = False
    change: ClassVar[Kernel]
    changes: ClassVar[Mapping[Any, Kernel]] = {}
    changes_in_place: ClassVar[bool] = True
    amounts: tuple[float, float] = (0.0, 0.0)
    further_sizes: tuple[int, ...] = ()

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = number(type(self).__name__, "p", p, 0, 1)

    def image_functions(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[ImageFunction, ...]:
        """The one that draws, and makes the change. Raises `PipelineError` if the class has none."""
        if not isinstance(getattr(self, "change", None), Kernel):
            raise PipelineError("its class names no change, a kernel for one image (docs/extending.md)")
        is_common = not self.changes or (dtype == np.uint8 and shape[2] in (1, 3))
        change = self.change if is_common else self.changes[np.dtype(dtype).type]
        parameters = self.p, change, *map(float, self.amounts), *shape, *self.further_sizes
        in_place = is_common and self.changes_in_place
        return (ImageFunction(randomly_applied, parameters, math.prod(shape) * np.dtype(dtype).itemsize, in_place),)
