"""CIFAR-10, by way of torchvision."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from ffcv_hydra.errors import ConfigError

SPLITS = ("train", "test")


class CIFAR10:
    """32x32 RGB images of ten classes: 50,000 for training, 10,000 for testing.

    Args:
        root: Folder that holds, or gets, torchvision's `cifar-10-batches-py`.
        split: `train` or `test`. For validation, take a part of `train` (`SplitFraction`).
        download: Download what is missing.

    Attributes:
        classes: Names of the classes.

    Raises:
        ConfigError: for another split, or if the data are missing and cannot be downloaded.
    """

    is_constant = True  # torchvision compares the MD5 of what it reads

    def __init__(self, root: str | Path, split: str, download: bool = True) -> None:
        from torchvision.datasets import CIFAR10 as Torchvision  # slow to import

        if split not in SPLITS:
            raise ConfigError(f"CIFAR-10 has no split {split!r}; use one of {', '.join(SPLITS)}")
        try:
            self._dataset = Torchvision(os.path.expanduser(root), train=split == "train", download=download)
        except (OSError, RuntimeError) as error:
            advice = "put cifar-10-batches-py there" if download else "set dataset.download=true"
            reason = " ".join(str(error).split())
            raise ConfigError(f"CIFAR-10 is not whole in {root} ({reason}); {advice}") from error
        self.classes: list[str] = self._dataset.classes

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        image, label = self._dataset[index]
        return image, int(label)
