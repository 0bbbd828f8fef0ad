"""Datasets of torchvision that come as a training and a test split."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from ffcv_hydra.errors import ConfigError

SPLITS = ("train", "test")


class TorchvisionSplits:
    """Base: RGB images of one of torchvision's datasets, with their labels.

    Args:
        root: Folder that holds, or gets, what torchvision downloads.
        split: `train` or `test`. For validation, take a part of `train` (`SplitFraction`).
        download: Download what is missing.

    Attributes:
        title: What the dataset is called.
        folder: What it is made of, below `root`.
        classes: Names of the classes.

    Raises:
        ConfigError: for another split, or if the data are missing and cannot be downloaded.
    """

    is_constant = True  # published once, and never in another form
    title: ClassVar[str]
    folder: ClassVar[str]
    classes: Sequence[str]

    def __init__(self, root: str | Path, split: str, download: bool = True) -> None:
        if split not in SPLITS:
            raise ConfigError(f"{self.title} has no split {split!r}; use one of {', '.join(SPLITS)}")
        try:
            self._dataset = self._open(Path(os.path.expanduser(root)), split == "train", download)
        except (OSError, RuntimeError, ValueError) as error:
            advice = f"put {self.folder} there" if download else "set dataset.download=true"
            reason = " ".join(str(error).split())
            raise ConfigError(f"{self.title} is not whole in {root} ({reason}); {advice}") from error
        self.classes = self._dataset.classes

    def _torchvision(self) -> Callable[..., Any]:
        """The class that reads it, which is slow to import."""
        raise NotImplementedError

    def _open(self, root: Path, train: bool, download: bool) -> Any:
        """A sequence of (PIL image, label) with its `classes`."""
        return self._torchvision()(root, train=train, download=download)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        image, label = self._dataset[index]
        return image.convert("RGB"), int(label)
