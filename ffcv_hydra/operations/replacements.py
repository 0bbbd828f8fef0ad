"""The project's operations for FFCV's, where they mean the same: faster, seeded, and with errors that are reported.

FFCV's image decoders ignore a JPEG that cannot be decoded and leave the picture before it; its random operations
cannot be seeded; all of them are compiled anew in each process.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ffcv import transforms
from ffcv.fields import basics, ndarray, rgb_image
from ffcv.fields import bytes as ffcv_bytes
from ffcv.pipeline.operation import Operation

from ffcv_hydra.operations.basic_decoders import ArrayDecoder, BytesDecoder, ScalarDecoder
from ffcv_hydra.operations.flip import RandomHorizontalFlip
from ffcv_hydra.operations.image_decoders import CenterCrop, RandomResizedCrop, WholeImage
from ffcv_hydra.operations.tensors import Squeeze, ToTorchImage


def _size(operation: Any) -> tuple[int, ...]:
    return tuple(int(side) for side in operation.output_size)


_REPLACEMENTS: dict[type[Operation], Callable[[Any], Operation]] = {
    basics.IntDecoder: lambda _: ScalarDecoder(),
    basics.FloatDecoder: lambda _: ScalarDecoder(),
    ndarray.NDArrayDecoder: lambda _: ArrayDecoder(),
    ffcv_bytes.BytesDecoder: lambda _: BytesDecoder(),
    rgb_image.SimpleRGBImageDecoder: lambda _: WholeImage(),
    rgb_image.CenterCropRGBImageDecoder: lambda o: CenterCrop(_size(o), o.ratio),
    rgb_image.RandomResizedCropRGBImageDecoder: lambda o: RandomResizedCrop(_size(o), tuple(o.scale), tuple(o.ratio)),
    transforms.RandomHorizontalFlip: lambda o: RandomHorizontalFlip(o.flip_prob),
    transforms.Squeeze: lambda o: Squeeze(*o.dims),
    transforms.ToTorchImage: lambda o: ToTorchImage(o.channels_last),
}


def replacement_of(operation: Operation, before: Sequence[Any]) -> Operation:
    """The project's operation that does what one of FFCV's does, or `operation` itself.

    Args:
        operation: of a user's pipeline; subclasses of FFCV's operations are left alone.
        before: the operations before it in its pipeline.

    Raises:
        PipelineError: if its arguments are impossible.
    """
    replace = _REPLACEMENTS.get(type(operation))
    if replace is None or (isinstance(operation, transforms.ToTorchImage) and _holds_float16_as_int16(before)):
        return operation
    return replace(operation)


def _holds_float16_as_int16(before: Sequence[Any]) -> bool:
    """Whether FFCV's normalisation stored float16 as int16, which numba has no type for."""
    return any(isinstance(o, transforms.NormalizeImage) and o.original_dtype == np.float16 for o in before)
