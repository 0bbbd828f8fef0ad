"""Anyone's folder of images, one folder per class."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from torch.utils.data import Dataset

from ffcv_hydra.errors import ConfigError

DEFAULT_FRACTIONS = {"train": 0.8, "val": 0.2}


class ImageFolder(Dataset):
    """Images of one split, with the number of their class.

    Images come as `PIL.Image.open` returns them, not yet decoded and in their own mode, so that a conversion can keep
    the bytes of JPEGs, and refuse what would lose something as RGB.

    Two layouts are understood: `root/train/CLASS/*.jpg` with `root/val` or `root/test` beside it, and
    `root/CLASS/*.jpg`, which is divided by `fractions`, class by class. Classes are numbered in the order of their
    names; with split folders, those of `train` count for all.

    Args:
        root: The folder.
        split: `train`, `val`, `test`, or another name in `fractions`. Where there is no `test`, `val` stands in.
        fractions: Share of each split, for folders that are not divided already. Default: 80 % train, 20 % val.
        seed: Draws which image goes to which split.

    Attributes:
        classes: Names of the classes.

    Raises:
        ConfigError: if the folder, the split, or images of a class are missing.
    """

    def __init__(
        self, root: str | Path, split: str, fractions: Mapping[str, float] | None = None, seed: int = 0
    ) -> None:
        root = Path(os.path.expanduser(root))
        if not root.is_dir():
            raise ConfigError(f"dataset.root={root}: no such folder; name one that has a folder of images per class")
        if any((root / "train").glob("*/")):
            self._read_split_folder(root, split)
        else:
            self._read_fraction(root, split, fractions or DEFAULT_FRACTIONS, seed)
        if not self._samples:
            raise ConfigError(f"{root}: no images for split {split!r}; add images, or give it a larger fraction")

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        path, label = self._samples[index]
        content = BytesIO(Path(path).read_bytes())  # in memory, so that no file stays open
        try:
            image = Image.open(content)
            image.filename = path  # for errors of a later decode
            return image, label
        except UnidentifiedImageError as error:
            raise OSError(f"{path}: not an image that PIL can read") from error
        except (OSError, Image.DecompressionBombError) as error:
            raise OSError(f"{path}: {error}") from error

    def _read_split_folder(self, root: Path, split: str) -> None:
        train = root / "train"
        folder = root / split
        if split == "test" and not folder.is_dir():
            folder = root / "val"
        if not folder.is_dir():
            found = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
            raise ConfigError(f"{root}: no folder for split {split!r}; it has {', '.join(found)}")
        self.classes = _class_names(train)
        unknown = [name for name in _class_names(folder) if name not in self.classes]
        if unknown:
            raise ConfigError(f"{folder}: class {unknown[0]!r} is not in {train}; add it there, or remove it here")
        self._samples = _find_images(folder, self.classes)

    def _read_fraction(self, root: Path, split: str, fractions: Mapping[str, float], seed: int) -> None:
        if min(fractions.values()) <= 0 or sum(fractions.values()) > 1 + 1e-9:
            raise ConfigError(f"dataset.fractions={dict(fractions)}: use shares above 0 that add up to at most 1")
        if split == "test" and split not in fractions:
            split = "val"
        if split not in fractions:
            raise ConfigError(f"{root}: no split {split!r}; dataset.fractions has {', '.join(fractions)}")
        self.classes = _class_names(root)
        found = _find_images(root, self.classes)
        labels = np.array([label for _, label in found])
        position = list(fractions).index(split)
        shares = np.cumsum([0.0, *fractions.values()])
        chosen: list[int] = []
        for label in range(len(self.classes)):
            members = np.flatnonzero(labels == label)
            if not members.size:
                raise ConfigError(f"{root / self.classes[label]}: no images; add some, or remove the folder")
            members = np.random.default_rng([seed, label]).permutation(members)
            start, stop = np.round(shares[position : position + 2] * len(members)).astype(int)
            chosen.extend(members[start:stop].tolist())
        self._samples = [found[index] for index in sorted(chosen)]


def _class_names(folder: Path) -> list[str]:
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise ConfigError(f"{folder}: no folders in it; put the images of each class into a folder of its own")
    return names


def _find_images(folder: Path, classes: list[str]) -> list[tuple[Any, int]]:
    """Paths of images and their class's number, in the order of classes and names."""
    from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset  # slow to import

    numbers = {name: number for number, name in enumerate(classes)}
    return make_dataset(str(folder), numbers, extensions=IMG_EXTENSIONS, allow_empty=True)
