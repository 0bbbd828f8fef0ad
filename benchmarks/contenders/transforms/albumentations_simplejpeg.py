"""albumentations' transforms in torch's DataLoader, and simplejpeg with its fast settings as the decoder."""

from functools import partial

import simplejpeg

from benchmarks.contenders.transforms import albumentations, data_loader
from benchmarks.work import Epochs, Work

PACKAGES = (*albumentations.PACKAGES, "simplejpeg")

decode = partial(simplejpeg.decode_jpeg, colorspace="RGB", fastdct=True, fastupsample=True)


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    return data_loader.batches(
        work, data_loader.Samples(work, decode, albumentations.decode_mask, albumentations.augment)
    )
