"""Boxes on the photographs, made up, and what the loaders of torch have in common that deliver them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks.work import Epochs, Work

LETTER_BOX, STILL = "letter_box", "still"  # names of work: with a flip and jitter, and as nothing is random
JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}
MOST, LEAST_SIDE = 14, 8  # boxes of a photograph, and pixels of a box
Load = Callable[[bytes], Any]
Augment = Callable[[Any, np.ndarray, np.ndarray], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]


def boxes_of(index: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Of a photograph: float32 (n, 4) as x1, y1, x2, y2 in pixels, n from 1 to `MOST`, and int64 (n,) labels."""
    random = np.random.default_rng(index)
    count, side = 1 + index % MOST, np.array([width, height])
    sizes = random.uniform(LEAST_SIDE, side / 2, (count, 2))
    corners = random.uniform(0, 1, (count, 2)) * (side - sizes)
    return np.concatenate([corners, corners + sizes], axis=1).astype(np.float32), random.integers(0, 80, count)


class BoxedPhotos(Dataset):
    """(image, boxes, labels): PIL images that are not yet decoded, to be converted."""

    def __init__(self, work: Work) -> None:
        self.paths = work.paths()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Image.Image, np.ndarray, np.ndarray]:
        image = Image.open(self.paths[index])
        return image, *boxes_of(index, image.height, image.width)


class AugmentedPhotos(Dataset):
    """(image, boxes, labels) as tensors, of files that are read anew and boxes that are in memory.

    Args:
        work: which photographs.
        decode: makes an image of the bytes of a file.
        augment: makes tensors of an image, boxes and labels: uint8 (3, H, W) or (H, W, 3), float32 (n, 4), int64 (n,).
    """

    def __init__(self, work: Work, decode: Load, augment: Augment) -> None:
        self.paths, self.decode, self.augment = work.paths(), decode, augment
        self.places = []
        for index, path in enumerate(self.paths):
            with Image.open(path) as image:
                self.places.append(boxes_of(index, image.height, image.width))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.augment(self.decode(self.paths[index].read_bytes()), *self.places[index])


def loaded(work: Work, decode: Load, augment: Augment) -> Epochs:
    """Epochs of torch's loader: images (N, 3, H, W), boxes (N, most, 4), labels (N, most), and how many there are."""
    dataset = AugmentedPhotos(work, decode, augment)
    most = max(len(labels) for _, labels in dataset.places)

    def collate(samples: list[tuple[torch.Tensor, ...]]) -> tuple[torch.Tensor, ...]:
        images, boxes, labels = zip(*samples, strict=True)
        padded = torch.zeros(len(samples), most, 4), torch.zeros(len(samples), most, dtype=torch.int64)
        for row, values in enumerate(zip(boxes, labels, strict=True)):
            for target, value in zip(padded, values, strict=True):
                target[row, : len(value)] = value
        return torch.stack(images), *padded, torch.tensor([len(one) for one in labels])

    loader = DataLoader(
        dataset, work.batch_size, shuffle=work.name != STILL, num_workers=work.workers, drop_last=True,
        collate_fn=collate, persistent_workers=True,
    )  # fmt: skip
    return Epochs(lambda: ((_channels_first(images), *places) for images, *places in loader))


def _channels_first(images: torch.Tensor) -> torch.Tensor:
    return images.permute(0, 3, 1, 2) if images.shape[-1] == 3 else images
