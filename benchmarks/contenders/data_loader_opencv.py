"""torch's DataLoader on JPEG files, decoded with OpenCV."""

from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.contenders.opencv_image import as_torch_images, decode
from benchmarks.work import Epochs, Work

PACKAGES = ("torch", "opencv-python")


class Photos(Dataset):
    """Decoded, cropped and resampled photographs."""

    def __init__(self, paths: list[Path], work: Work) -> None:
        self.paths, self.work = paths, work

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return decode(self.paths[index].read_bytes(), self.work)


def batches(work: Work) -> Epochs:
    """Epochs of the loader."""
    loader = DataLoader(
        Photos(work.paths(), work),
        work.batch_size,
        shuffle=True,
        num_workers=work.workers,
        drop_last=True,
        persistent_workers=True,
    )
    return Epochs(lambda: map(as_torch_images, loader))
