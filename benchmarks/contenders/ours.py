"""This project, from a beton it wrote itself."""

from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.photo_dataset import PhotoDataset, SmallDataset
from benchmarks.work import CENTER_CROP, CENTER_RATIO, HOLE, RANDOM_CROP, SHIFT, SMALL, Epochs, Work, made
from ffcv_hydra import Loader
from ffcv_hydra.beton import RandomAccessImageField, write_beton
from ffcv_hydra.operations import (
    CenterCrop,
    Cutout,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomTranslate,
    ToDevice,
    ToTensor,
    ToTorchImage,
    WholeImage,
)
from ffcv_hydra.ordering.options import OrderOption

PACKAGES = ("ffcv_hydra",)
OPERATIONS = {
    RANDOM_CROP: lambda size: [RandomResizedCrop(size), RandomHorizontalFlip()],
    CENTER_CROP: lambda size: [CenterCrop(size, CENTER_RATIO)],
    SMALL: lambda size: [WholeImage(), RandomHorizontalFlip(), RandomTranslate(SHIFT), Cutout(HOLE)],
}


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    return epochs(loader(beton(work), work))


def beton(work: Work) -> Path:
    """The photographs as `convert.py` stores them; the small ones raw."""
    return made(f"ours-{work.images}.beton", partial(write, work))


def loader(
    path: Path | str | list[Path],
    work: Work,
    images: list[Any] | None = None,
    ordering: OrderOption = OrderOption.RANDOM,
) -> Loader:
    """A loader of the images alone; `images` says what is done to them instead of `OPERATIONS`."""
    to_device = [] if work.device == "cpu" else [ToDevice(work.device)]
    operations = [*(images or OPERATIONS[work.name](work.size)), ToTensor(), *to_device, ToTorchImage()]
    return Loader(
        path,
        work.batch_size,
        pipelines={"image": operations, "label": "disabled"},
        ordering=ordering,
        num_workers=work.workers,
        drop_last=True,
    )


def epochs(of: Loader) -> Epochs:
    """Those of a loader of images."""
    return Epochs(lambda: (images for (images,) in of))


def write(work: Work, path: Path, random_access: bool = True) -> None:
    """Convert the photographs."""
    dataset = SmallDataset(work.photos) if work.name == SMALL else PhotoDataset(work.paths())
    image = RandomAccessImageField("raw" if work.name == SMALL else "jpg", random_access=random_access)
    write_beton(dataset, path, {"image": image, "label": None}, num_workers=work.workers, progress=False)
