"""The photographs as torch datasets, to be converted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from benchmarks.photos import small_photos


class PhotoDataset(Dataset):
    """(image, label) of JPEG files; PIL images that are not yet decoded, as torchvision's image folder opens them.

    Args:
        paths: of the files.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        image = Image.open(self.paths[index])
        return image, index % 1000


class MaskedDataset(Dataset):
    """(image, mask) of JPEG and PNG files, as `PhotoDataset` opens them.

    Args:
        paths, masks: of the files, in the same order.
    """

    def __init__(self, paths: Sequence[Path], masks: Sequence[Path]) -> None:
        self.paths, self.masks = paths, masks

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Image.Image, Image.Image]:
        return Image.open(self.paths[index]), Image.open(self.masks[index])


class SmallDataset(Dataset):
    """(image, label) of 32 x 32 pixels, uint8 (32, 32, 3).

    Args:
        count: how many images.
    """

    def __init__(self, count: int) -> None:
        self.images = small_photos(count)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.images[index], index % 10
