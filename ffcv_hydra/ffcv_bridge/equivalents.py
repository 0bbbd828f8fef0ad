"""The project's operations for FFCV's, where they mean the same: faster, seeded, and with errors that are reported.

FFCV's image decoders ignore a JPEG that cannot be decoded and leave the picture before it; its random operations
cannot be seeded; all of them are compiled anew in each process. Draws are distributed as FFCV's; pixels are the same,
but for colours and what is resampled, which may differ by one level.

Left as they are:

- `NormalizeImage` to dtypes other than float32 and float16.
- `ToTensor`, `View`, `Poison` and `ReplaceLabel`, which do not draw and do what they say.
- `RandomResizedCrop` on decoded images: the decoder of the same name crops before it decodes, and can be seeded.
- `ImageMixup`, `LabelMixup` and `MixupToOneHot`, which seed numba's generator with the last sample's id and mix each
  image with the one before it; `Mixup`, `CutMix` and `MixedTargets` take their keys from the loader.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from ffcv import transforms
from ffcv.fields import basics, ndarray, rgb_image
from ffcv.fields import bytes as ffcv_bytes
from ffcv.pipeline.operation import Operation as FFCVsOperation

from ffcv_hydra.operations.basic_decoders import ArrayDecoder, BytesDecoder, ScalarDecoder
from ffcv_hydra.operations.colour import RandomBrightness, RandomContrast, RandomSaturation
from ffcv_hydra.operations.convert import Convert
from ffcv_hydra.operations.erasing import Cutout
from ffcv_hydra.operations.flip import RandomHorizontalFlip
from ffcv_hydra.operations.image_decoders import CenterCrop, RandomResizedCrop, WholeImage
from ffcv_hydra.operations.normalize import NormalizeImage, NormalizeTensor
from ffcv_hydra.operations.operation import Operation
from ffcv_hydra.operations.random_crop import RandomTranslate
from ffcv_hydra.operations.tensors import Squeeze, ToTorchImage
from ffcv_hydra.operations.to_device import ToDevice
from ffcv_hydra.operations.to_tensor import ToTensor


def _size(operation: Any) -> tuple[int, ...]:
    size = operation.output_size
    return tuple(int(side) for side in ((size, size) if isinstance(size, int) else size))


def _table(operation: Any) -> np.ndarray:
    # float16 lies in FFCV's table as the int16 of the same bits
    return operation.lookup_table.view(operation.original_dtype)


def normalization_of(operation: Any) -> tuple[list[float], list[float]] | None:
    """Mean and std per channel of FFCV's `NormalizeImage`; None if its table is of no finite mean and positive std."""
    table = _table(operation).astype(np.float64)
    with np.errstate(all="ignore"):
        std = 255 / (table[255] - table[0])
        mean = -table[0] * std
    is_known = np.isfinite([mean, std]).all() and (std > 0).all()
    return (mean.tolist(), std.tolist()) if is_known else None


class NormalizeTensorByTable(NormalizeTensor):
    """What FFCV's `NormalizeImage` does to tensors (N, C, H, W) of uint8: on any device, where FFCV's needs cupy.

    Args:
        table: float32 or float16 (256, C), as FFCV's has rounded it.
        normalization: mean and std that made it.
    """

    def __init__(self, table: np.ndarray, normalization: tuple[list[float], list[float]]) -> None:
        super().__init__(*normalization, table.dtype)
        self.table = torch.from_numpy(table.copy())

    def apply(self, batch: torch.Tensor) -> torch.Tensor:
        """What the table has for each level; the memory format stays."""
        self.table = self.table.to(batch.device)
        found = torch.empty_like(batch, dtype=self.dtype)
        for channel in range(batch.shape[1]):
            found[:, channel] = self.table[:, channel][batch[:, channel].int()]
        return found


_REPLACEMENTS: dict[type[FFCVsOperation], Callable[[Any], Operation]] = {
    basics.IntDecoder: lambda _: ScalarDecoder(),
    basics.FloatDecoder: lambda _: ScalarDecoder(),
    ndarray.NDArrayDecoder: lambda _: ArrayDecoder(),
    ffcv_bytes.BytesDecoder: lambda _: BytesDecoder(),
    rgb_image.SimpleRGBImageDecoder: lambda _: WholeImage(),
    rgb_image.CenterCropRGBImageDecoder: lambda o: CenterCrop(_size(o), o.ratio),
    rgb_image.RandomResizedCropRGBImageDecoder: lambda o: RandomResizedCrop(_size(o), tuple(o.scale), tuple(o.ratio)),
    transforms.Convert: lambda o: Convert(o.target_dtype),
    transforms.Cutout: lambda o: Cutout(o.crop_size, o.fill.tolist()),
    transforms.NormalizeImage: lambda o: NormalizeImage.of_table(_table(o), normalization_of(o)),
    transforms.RandomBrightness: lambda o: RandomBrightness(o.magnitude, o.p),
    transforms.RandomContrast: lambda o: RandomContrast(o.magnitude, o.p),
    transforms.RandomHorizontalFlip: lambda o: RandomHorizontalFlip(o.flip_prob),
    transforms.RandomSaturation: lambda o: RandomSaturation(o.magnitude, o.p),
    transforms.RandomTranslate: lambda o: RandomTranslate(o.padding, o.fill.tolist()),
    transforms.Squeeze: lambda o: Squeeze(*o.dims),
    transforms.ToDevice: lambda o: ToDevice(o.device, o.non_blocking),
    transforms.ToTorchImage: lambda o: ToTorchImage(o.channels_last),
}


def equivalent_of(operation: FFCVsOperation, before: Sequence[Any]) -> Operation | None:
    """The project's operation that does what one of FFCV's does; None if there is none.

    Args:
        operation: of a user's pipeline; subclasses of FFCV's operations have none.
        before: the operations before it in its pipeline.

    Raises:
        PipelineError: if its arguments are impossible.
    """
    replace = _REPLACEMENTS.get(type(operation))
    if replace is None or (isinstance(operation, transforms.ToTorchImage) and _holds_float16_as_int16(before)):
        return None
    if isinstance(operation, transforms.NormalizeImage):
        if operation.original_dtype not in (np.float16, np.float32):
            return None
        if any(isinstance(o, ToTensor) for o in before):
            known = normalization_of(operation)
            return known and NormalizeTensorByTable(_table(operation), known)
    return replace(operation)


def _holds_float16_as_int16(before: Sequence[Any]) -> bool:
    """Whether FFCV's normalisation stored float16 as int16, which numba has no type for."""
    return any(isinstance(o, transforms.NormalizeImage) and o.original_dtype == np.float16 for o in before)
