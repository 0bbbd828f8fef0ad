"""FFCV as it is released, with `os_cache=True` and its default `ToTorchImage`."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.rgb_image import (
    CenterCropRGBImageDecoder,
    RandomResizedCropRGBImageDecoder,
    SimpleRGBImageDecoder,
)
from ffcv.loader import Loader, OrderOption
from ffcv.transforms import Cutout, RandomHorizontalFlip, RandomTranslate, ToDevice, ToTensor, ToTorchImage
from ffcv.writer import DatasetWriter

from benchmarks.photo_dataset import PhotoDataset, SmallDataset
from benchmarks.work import CENTER_CROP, CENTER_RATIO, HOLE, RANDOM_CROP, SHIFT, SMALL, Epochs, Work, made

PACKAGES = ("ffcv",)
OPERATIONS = {
    RANDOM_CROP: lambda size: [RandomResizedCropRGBImageDecoder((size, size)), RandomHorizontalFlip()],
    CENTER_CROP: lambda size: [CenterCropRGBImageDecoder((size, size), CENTER_RATIO)],
    SMALL: lambda size: [
        SimpleRGBImageDecoder(),
        RandomHorizontalFlip(),
        RandomTranslate(SHIFT),
        Cutout(HOLE, (np.uint8(0),) * 3),
    ],
}


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    to_device = [] if work.device == "cpu" else [ToDevice(torch.device(work.device))]
    loader = Loader(
        str(beton(work)),
        work.batch_size,
        num_workers=work.workers,
        os_cache=True,
        order=OrderOption.RANDOM,
        drop_last=True,
        pipelines={
            "image": [*OPERATIONS[work.name](work.size), ToTensor(), *to_device, ToTorchImage()],
            "label": None,
        },
    )
    return Epochs(lambda: (images for (images,) in loader))


def beton(work: Work) -> Path:
    """The photographs as FFCV's writer stores them."""
    return made(f"ffcv-{work.images}.beton", partial(write, work))


def write(work: Work, path: Path) -> None:
    """Convert the photographs."""
    dataset = SmallDataset(work.photos) if work.name == SMALL else PhotoDataset(work.paths())
    image = RGBImageField("raw") if work.name == SMALL else RGBImageField("jpg", jpeg_quality=90)
    writer = DatasetWriter(str(path), {"image": image, "label": IntField()}, num_workers=work.workers)
    writer.from_indexed_dataset(dataset)
