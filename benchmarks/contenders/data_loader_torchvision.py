"""torch's DataLoader on JPEG files, decoded with torchvision."""

from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms.v2 import functional

from benchmarks.work import Epochs, Work, box, flipped

PACKAGES = ("torch", "torchvision")


class Photos(Dataset):
    """Decoded, cropped and resampled photographs."""

    def __init__(self, paths: list[Path], work: Work) -> None:
        self.paths, self.work = paths, work

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = decode_jpeg(read_file(str(self.paths[index])), mode=ImageReadMode.RGB)
        top, left, height, width = box(self.work, *image.shape[1:])
        size = [self.work.size, self.work.size]
        resized = functional.resized_crop(image, top, left, height, width, size, antialias=True)
        return resized.flip(-1) if flipped(self.work) else resized


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    loader = DataLoader(
        Photos(work.paths(), work),
        work.batch_size,
        shuffle=True,
        num_workers=work.workers,
        drop_last=True,
        persistent_workers=True,
        pin_memory=work.device != "cpu",
    )
    return Epochs(lambda: iter(loader))
