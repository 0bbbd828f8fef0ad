"""Bases of the transforms from images to images of the same shape and dtype."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.beton.fields.image_fields import MaskField
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations.base import ChunkOperation
from ffcv_hydra.operations.image_chain import ImageFunctionOperation
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.pixels import check_colour, colour

# of images of any number of channels, beside uint8 of 1 or 3
ARRAY_DTYPES = (np.uint8, np.uint16, np.int16, np.float32)


class ImageOperation(ChunkOperation):
    """A transform of images (N, H, W, C) that keeps their shape and dtype and gives each output data of its own.

    Attributes:
        dtypes: the dtypes that it takes; any if empty.
        channels: the numbers of channels that it takes; any if empty.
        keeps_classes: whether it may be given masks: it makes no values of others.
    """

    dtypes: ClassVar[tuple[Any, ...]] = (np.uint8,)
    channels: ClassVar[tuple[int, ...]] = (1, 3)
    keeps_classes: ClassVar[bool] = True

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """The same shape and dtype.

        Raises:
            PipelineError: for anything but images of a dtype and a number of channels that the operation takes, and for
                masks whose classes it would change.
        """
        if isinstance(self.field, MaskField) and not self.keeps_classes:
            raise PipelineError("changes values, and those of masks are numbers of classes: leave it out")
        shape, dtype = tuple(before.shape), before.dtype
        fits = (
            len(shape) == 3
            and (not self.channels or shape[2] in self.channels)
            and (not self.dtypes or np.dtype(dtype) in [np.dtype(known) for known in self.dtypes])
        )
        if not fits:
            kinds = " or ".join(np.dtype(known).name for known in self.dtypes) or "any dtype"
            sizes = " or ".join(map(str, self.channels)) or "any number of"
            others = "RandomBrightness, RandomContrast, GaussianBlur and RandomErasing take images of any channels"
            advice = f": {others}" if len(shape) == 3 and self.channels and shape[2] not in self.channels else ""
            raise PipelineError(f"takes images (H, W, C) of {kinds} with {sizes} channels; got {dtype} {shape}{advice}")
        return shape, dtype


class FillingOperation(ImageOperation, ImageFunctionOperation):
    """A random transform that gives some pixels of images (N, H, W, C), of any dtype and channels, one colour.

    Args:
        fill: the colour in levels: a number, or a list of one per channel.
    """

    random: ClassVar[bool] = True
    dtypes: ClassVar[tuple[Any, ...]] = ()
    channels: ClassVar[tuple[int, ...]] = ()

    def __init__(self, fill: float | Sequence[float]) -> None:
        super().__init__()
        self.fill = colour(type(self).__name__, "fill", fill)

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """The same shape and dtype.

        Raises:
            PipelineError: these are no images that it takes, or they cannot hold `fill`.
        """
        result = super().result(before)
        check_colour("fill", self.fill, before)
        return result
