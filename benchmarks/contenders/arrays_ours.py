"""This project, from images stored raw."""

from pathlib import Path

from benchmarks.arrays import CHANNELS, MadeUp
from benchmarks.work import CUT, Epochs, Work, made
from ffcv_hydra import Loader
from ffcv_hydra.beton import ImageArrayField, write_beton
from ffcv_hydra.operations import (
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    ToTensor,
    ToTorchImage,
    WholeImage,
)
from ffcv_hydra.ordering.options import OrderOption

PACKAGES = ("ffcv_hydra",)


def batches(work: Work, write_mode: str = "raw") -> Epochs:
    """Epochs of the loader."""

    def write(path: Path) -> None:
        field = ImageArrayField(CHANNELS, write_mode=write_mode)
        write_beton(MadeUp(work.photos), path, {"image": field}, num_workers=work.workers, progress=False)

    path = made(f"arrays-{write_mode}-{work.photos}.beton", write)
    crop = [RandomResizedCrop(work.size, interpolation="bilinear")]
    if work.name == CUT:
        crop = [WholeImage(), RandomCrop(work.size)]
    images = [*crop, RandomHorizontalFlip(), ToTensor(), ToTorchImage()]
    loader = Loader(
        path,
        work.batch_size,
        pipelines={"image": images},
        ordering=OrderOption.RANDOM,
        num_workers=work.workers,
        drop_last=True,
    )
    return Epochs(lambda: (images for (images,) in loader))
