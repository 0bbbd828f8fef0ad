"""This project, from a beton with boxes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.boxes import JITTER, STILL, BoxedPhotos
from benchmarks.work import Epochs, Work, made
from ffcv_hydra import Loader
from ffcv_hydra.beton import BoundingBoxesField, RaggedArrayField, RandomAccessImageField, write_beton
from ffcv_hydra.operations import ColorJitter, LetterBox, RandomHorizontalFlip, ToTensor, ToTorchImage
from ffcv_hydra.ordering.options import OrderOption

PACKAGES = ("ffcv_hydra",)


def batches(work: Work) -> Epochs:
    """Epochs of images, boxes, labels, and how many there are."""
    loader = _loader(work, {})

    def epoch() -> Iterator[tuple[torch.Tensor, ...]]:
        for images, boxes, labels in loader:
            yield images, boxes.data, labels.data, boxes.lengths

    return Epochs(epoch)


def images(work: Work) -> Epochs:
    """Epochs of the same images alone."""
    loader = _loader(work, {"boxes": "disabled", "labels": "disabled"})
    return Epochs(lambda: iter(loader))


def _loader(work: Work, others: dict[str, Any]) -> Loader:
    def write(path: Path) -> None:
        labels = RaggedArrayField("int64", follows="boxes")
        fields = {"image": RandomAccessImageField("jpg"), "boxes": BoundingBoxesField(), "labels": labels}
        write_beton(BoxedPhotos(work), path, fields, num_workers=work.workers, progress=False)

    random = [] if work.name == STILL else [RandomHorizontalFlip(), ColorJitter(**JITTER)]
    operations = [LetterBox(work.size, "bilinear"), *random, ToTensor(), ToTorchImage()]
    return Loader(
        made(f"ours-boxed-{work.count}.beton", write),
        work.batch_size,
        pipelines={"image": operations, **others},
        ordering=OrderOption.SEQUENTIAL if work.name == STILL else OrderOption.RANDOM,
        num_workers=work.workers,
        drop_last=True,
    )
