"""What contenders are asked for, and what they have in common."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.photos import FOLDER, jpeg_photos, other_photos

RANDOM_CROP, CENTER_CROP, SMALL, CUT = "random_crop", "center_crop", "small", "cut"
CENTER_RATIO = 224 / 256
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
SHIFT, HOLE = 2, 8  # pixels
SHARD_BYTES = 8_000_000  # of those that come from a store
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Work:
    """One loader's task.

    Attributes:
        name: `random_crop`: RandomResizedCrop and horizontal flip; `center_crop`: the central square of 224 / 256 of
            the shorter side; `cut`: a random part of the output's size and horizontal flip; `small`: raw images of
            32 x 32, flipped, shifted by up to 2 pixels, with a hole of 8 x 8; one of `steps.RECIPES`, each with sizes
            of its own; or one of `boxes`.
        photos: how many different images there are.
        batch_size: images per batch.
        size: height and width of the output, in pixels.
        workers: threads or processes.
        copies: how many times each image is in the dataset, for epochs that last.
        device: where batches are wanted; the contenders of `gpu_check` heed it.
        large: whether the photographs are as cameras make them, of more than `photos.LEAST_SIDE` pixels.
        file_type: jpg, png or webp.
    """

    name: str
    photos: int
    batch_size: int
    size: int = 224
    workers: int = 2
    copies: int = 1
    device: str = "cpu"
    large: bool = False
    file_type: str = "jpg"

    @property
    def count(self) -> int:
        """Images in the dataset."""
        return self.photos * self.copies

    def paths(self) -> list[Path]:
        """The files of the dataset."""
        if self.file_type != "jpg":
            return other_photos(self.photos, self.file_type) * self.copies
        return jpeg_photos(self.photos, self.large) * self.copies

    @property
    def images(self) -> str:
        """What files made of them are called."""
        kind = "small" if self.name == SMALL else "large" if self.large else "photos"
        return f"{kind}-{self.count}"


class Epochs:
    """What `batches` of a contender gives: each `iter()` is an epoch of uint8 tensors (N, 3, H, W).

    Of a recipe they are tuples: of one tensor per view, and of the masks (N, H, W), if it has any.
    """

    def __init__(self, start: Callable[[], Iterator[Any]]) -> None:
        self._start = start

    def __iter__(self) -> Iterator[Any]:
        return self._start()


def endless(batches: Iterator[torch.Tensor], work: Work) -> Epochs:
    """Epochs of a stream of batches that never ends, such as of a pipeline that costs time to start."""
    return Epochs(lambda: itertools.islice(batches, work.count // work.batch_size))


def made(name: str, make: Callable[[Path], object]) -> Path:
    """A file or folder below `data/benchmarks`; `make` is given its path if it is not there."""
    path = FOLDER / name
    if not path.exists():
        making = path.with_name(f"making-{name}")
        making.parent.mkdir(parents=True, exist_ok=True)
        make(making)
        making.rename(path)
    return path


def box(work: Work, height: int, width: int) -> Box:
    """Top, left, height and width of the part to keep, in pixels; drawn as torchvision's RandomResizedCrop does it."""
    if work.name == CENTER_CROP:
        side = int(min(height, width) * CENTER_RATIO)
        return (height - side) // 2, (width - side) // 2, side, side
    if work.name == CUT:
        return random.randint(0, height - work.size), random.randint(0, width - work.size), work.size, work.size
    for _ in range(10):
        area, aspect = height * width * random.uniform(*SCALE), random.uniform(RATIO[0] ** 0.5, RATIO[1] ** 0.5) ** 2
        columns, rows = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < columns <= width and 0 < rows <= height:
            return random.randint(0, height - rows), random.randint(0, width - columns), rows, columns
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side, side


def flipped(work: Work) -> bool:
    """Whether the next image is to be mirrored."""
    return work.name in (RANDOM_CROP, CUT) and random.random() < 0.5
