"""Images of many channels, made up: smooth surfaces with some noise, as satellites see them."""

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional

from benchmarks.work import Epochs, Work, box, flipped

SIDE, CHANNELS = 512, 13
_COARSE = 24  # pixels of the surface that is enlarged
_STEP = 1 / 1024  # of the values: as integers that were scaled have it, so that they can be packed


class MadeUp(Dataset):
    """Items are (float32 (512, 512, 13),)."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        if not 0 <= index < self.count:
            raise IndexError(index)
        random = np.random.default_rng(index)
        coarse = random.uniform(0, 1, (CHANNELS, _COARSE, _COARSE)).astype(np.float32)
        surface = np.stack([cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for one in coarse], axis=2)
        noisy = surface + random.normal(0, 0.01, surface.shape)
        return ((np.round(noisy / _STEP) * _STEP).astype(np.float32),)


class Cropped(Dataset):
    """Crops of an array (N, 512, 512, 13) that reads what is sliced, by torchvision: float32 (13, size, size)."""

    def __init__(self, images: object, work: Work) -> None:
        self.images, self.work = images, work

    def __len__(self) -> int:
        return self.work.count

    def __getitem__(self, index: int) -> torch.Tensor:
        top, left, height, width = box(self.work, SIDE, SIDE)
        images: object = self.images() if callable(self.images) else self.images
        part = np.array(images[index % self.work.photos, top : top + height, left : left + width])  # type: ignore[index]
        tensor = torch.from_numpy(part).permute(2, 0, 1)
        resized = functional.resize(tensor, [self.work.size, self.work.size], antialias=True)
        return resized.flip(-1) if flipped(self.work) else resized


def loaded(dataset: Cropped, work: Work) -> Epochs:
    """Epochs of torch's loader."""
    loader = DataLoader(
        dataset, work.batch_size, shuffle=True, num_workers=work.workers, drop_last=True, persistent_workers=True
    )
    return Epochs(lambda: iter(loader))
