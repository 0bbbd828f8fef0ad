"""Anyone's folder of images, one folder per class."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from ffcv_hydra.datasets.image_suffixes import image_suffixes
from ffcv_hydra.datasets.opened_image import open_image
from ffcv_hydra.datasets.progress import report
from ffcv_hydra.datasets.split_fraction import SplitFraction
from ffcv_hydra.errors import ConfigError, SourceMissingError

if TYPE_CHECKING:
    from ffcv_hydra.beton import Manifest

DEFAULT_FRACTIONS = {"train": 0.8, "val": 0.2}

logger = logging.getLogger(__name__)


class ImageFolder:
    """Images of one split, with the number of their class.

    Images come as `PIL.Image.open` returns them, not yet decoded and in their own mode, so that a conversion can keep
    the bytes of JPEGs, and refuse what would lose something as RGB.

    Two layouts are understood: `root/train/CLASS/*.jpg` with `root/val` or `root/test` beside it, and
    `root/CLASS/*.jpg`, which is divided by `fractions`: a hash of its path below `root` says to which split an image
    belongs, so that images which are added or removed never move another one. Classes are numbered in the order of
    their names; with split folders, those of `train` count for all. Files are taken for images if their suffix is that
    of a format that Pillow reads; which ones are left out is told.

    Args:
        root: The folder.
        split: `train`, `val`, `test`, or another name in `fractions`.
        fractions: Share of each split, for folders that are not divided already. Default: 80 % train, 20 % val.
        seed: Draws which image goes to which split.

    Attributes:
        classes: Names of the classes.
        is_drawn: Whether the split is drawn by `fractions`.

    Raises:
        ConfigError: if the folder, the split, or images of a class are missing.
    """

    classes: list[str]
    _samples: list[tuple[str, int]]

    def __init__(
        self, root: str | Path, split: str, fractions: Mapping[str, float] | None = None, seed: int = 0
    ) -> None:
        root = Path(os.path.abspath(os.path.expanduser(root)))
        if not root.is_dir():
            raise SourceMissingError(
                f"dataset.root={root}: no such folder; name one that has a folder of images per class"
            )
        self._start_of_name = len(os.path.join(root, ""))
        self.is_drawn = not is_divided(root)
        if self.is_drawn:
            self._read_fraction(root, split, fractions or DEFAULT_FRACTIONS, seed)
        else:
            self._read_split_folder(root, split)

    def __len__(self) -> int:
        return len(self._samples)

    def manifest(self) -> Manifest:
        """Each image's path below the root, its size and its class."""
        from ffcv_hydra.beton import Manifest

        names, sizes = [], []
        for number, (path, _) in enumerate(self._samples):
            report(number, "sizes of images")
            names.append(self._name(path))
            sizes.append(os.stat(path).st_size if os.path.exists(path) else 0)  # a dangling link: reading it tells
        return Manifest(names, sizes, [label for _, label in self._samples], self.classes, kind="images")

    def keep_classes(self, names: Sequence[str]) -> None:
        """Let the classes have the numbers that they have in `names`, and those that are not there the ones after."""
        before = self.classes
        self.classes = list(dict.fromkeys([*names, *before]))
        numbers = {name: number for number, name in enumerate(self.classes)}
        self._samples = [(path, numbers[before[label]]) for path, label in self._samples]

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        path, label = self._samples[index]
        return open_image(path), label

    def _name(self, path: str) -> str:
        return path[self._start_of_name :].replace(os.sep, "/")

    def _read_split_folder(self, root: Path, split: str) -> None:
        train = root / "train"
        folder = root / split
        if not folder.is_dir():
            found = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
            raise ConfigError(f"{root}: no folder for split {split!r}; it has {', '.join(found)}")
        self.classes = class_names(train)
        unknown = [name for name in class_names(folder) if name not in self.classes]
        if unknown:
            raise ConfigError(f"{folder}: class {unknown[0]!r} is not in {train}; add it there, or remove it here")
        self._samples, left_out = _find_images(folder, self.classes)
        if not self._samples:
            raise ConfigError(f"{folder}: no images{_of_suffixes(left_out)}; add some")
        if left_out:
            _warn(f"{folder}: left out {_counts(left_out)}, which Pillow does not read")

    def _read_fraction(self, root: Path, split: str, fractions: Mapping[str, float], seed: int) -> None:
        try:
            share = SplitFraction.named(split, fractions, seed)
        except ConfigError as error:
            raise ConfigError(f"{root}: {error}") from None
        self.classes = class_names(root)
        found, left_out = _find_images(root, self.classes)
        counts = Counter(label for _, label in found)
        for label, name in enumerate(self.classes):
            if not counts[label]:
                there = _of_suffixes(_find_images(root, [name])[1])
                raise ConfigError(f"{root / name}: no images{there}; add some, or remove the folder")
        if left_out:
            _warn(f"{root}: left out {_counts(left_out)}, which Pillow does not read")
        self._samples = [found[index] for index in share.of_names(self._name(path) for path, _ in found).tolist()]
        advice = "add images, give it a larger fraction, or draw anew by another dataset.seed"
        if not self._samples:
            raise ConfigError(f"{root}: no images for split {split!r}; {advice}")
        drawn = {label for _, label in self._samples}
        if lacking := [name for label, name in enumerate(self.classes) if label not in drawn]:
            rest = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            _warn(f"{root}: split {split!r} has no image of {', '.join(lacking[:3])}{rest}; {advice}")


def is_divided(root: Path) -> bool:
    """Whether a folder of images has a folder per split, as its `train` with classes tells."""
    return any((root / "train").glob("*/"))


def class_names(folder: Path) -> list[str]:
    """The names of the class folders in a folder, sorted. Raises `ConfigError` if there are none."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise ConfigError(f"{folder}: no folders in it; put the images of each class into a folder of its own")
    return names


def _find_images(folder: Path, classes: list[str]) -> tuple[list[tuple[str, int]], Counter[str]]:
    """Paths of images and their class's number, in the order of classes and names; the suffixes of other files."""
    suffixes = image_suffixes()
    found: list[tuple[str, int]] = []
    left_out: Counter[str] = Counter()
    for label, name in enumerate(classes):
        for inner, _, files in sorted(os.walk(folder / name, followlinks=True)):
            for file in sorted(files):
                suffix = os.path.splitext(file)[1].lower()
                if suffix in suffixes:
                    found.append((os.path.join(inner, file), label))
                    report(len(found), "names of images")
                elif not file.startswith("."):
                    left_out[suffix] += 1
    return found, left_out


def _counts(suffixes: Counter[str]) -> str:
    return ", ".join(f"{count:,} {suffix or 'without a suffix'}" for suffix, count in suffixes.most_common())


def _of_suffixes(left_out: Counter[str]) -> str:
    return f" (Pillow does not read what is there: {_counts(left_out)})" if left_out else ""


@cache
def _warn(line: str) -> None:
    """Tell it once: each split finds the same."""
    logger.warning(line)
