"""Anyone's folders of pictures and of masks, which belong together by their names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ffcv_hydra.datasets.image_folder import DEFAULT_FRACTIONS
from ffcv_hydra.datasets.image_suffixes import image_suffixes
from ffcv_hydra.datasets.listed_classes import listed_classes
from ffcv_hydra.datasets.opened_image import open_image
from ffcv_hydra.datasets.progress import report
from ffcv_hydra.datasets.split_fraction import SplitFraction
from ffcv_hydra.errors import ConfigError, ConversionError, SourceMissingError

if TYPE_CHECKING:
    from ffcv_hydra.beton import Manifest

VOID = 255
"""What pixels without a class are in masks, and what losses and metrics leave out."""
UNKNOWN, MAX_ID = -1, (1 << 16) - 1
MODES = ("L", "P", "1", "I", "I;16", "I;16B", "I;16L")


class SegmentationFolder:
    """Images of one split with masks: (picture as `PIL.Image.open` returns it, not yet decoded; uint8 (H, W) mask).

    A picture `root/IMAGES/a/1.jpg` has the mask `root/MASKS/a/1.png`, of any suffix. Splits are folders below both
    (`root/IMAGES/train/...`) or above both (`root/train/IMAGES/...`); where there is neither, pictures are divided by
    `fractions`, as `ImageFolder` does. Masks hold numbers of classes, in the picture's own size: grey levels, or the
    indices of a palette, whatever its colours. That each picture has a mask of its size is checked before one is
    decoded, what is in a mask when it is read.

    Args:
        root: The folder.
        split: A name in `folder_names`, or in `fractions`.
        classes: Names of the classes, by number; or the path of a file with a name on each line, relative to `root`.
        images, masks: Folders, or paths of such, of pictures and of masks.
        image_ending, mask_ending: What comes between the name that both have and the suffix, as `_leftImg8bit`; files
            that do not end so are left out.
        folder_names: By split, the name of its folder. By default the splits' names.
        mask_ids: The number that each class has in the masks, if it is not its place in `classes`: `[0, 255]`.
        ignore: The number of pixels without a class, which become 255; None: there are none.
        fractions: Share of each split, for folders that are not divided already. Default: 80 % train, 20 % val.
        seed: Draws which picture goes to which split.

    Attributes:
        is_drawn: Whether the split is drawn by `fractions`.

    Raises:
        ConfigError: a folder, the split or a mask is missing, or a mask has another size or colours; names the file.
        SourceMissingError: there is no such folder.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str,
        classes: Sequence[str] | str,
        images: str = "images",
        masks: str = "masks",
        image_ending: str = "",
        mask_ending: str = "",
        folder_names: Mapping[str, str | None] | None = None,
        mask_ids: Sequence[int] | None = None,
        ignore: int | None = None,
        fractions: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        self._root = os.path.abspath(os.path.expanduser(root))
        if not os.path.isdir(self._root):
            raise SourceMissingError(f"dataset.root={self._root}: no such folder; name the one that holds the dataset")
        self.classes = self.class_names(root, classes)
        self._numbers = _numbers(len(self.classes), mask_ids, ignore)
        names = {name: folder for name, folder in (folder_names or {}).items() if folder} or {
            "train": "train",
            split: split,
        }
        self.is_drawn = _divided(self._root, images, masks, names.get("train", "train")) is None
        both = (images, masks) if self.is_drawn else _divided(self._root, images, masks, names.get(split, split))
        if both is None:
            raise ConfigError(
                f"{self._root}: no folders for split {split!r} as 'train' has; set dataset.folder_names.{split}"
            )
        self._pairs = self._found(*both, image_ending, mask_ending)
        if self.is_drawn:
            try:
                share = SplitFraction.named(split, fractions or DEFAULT_FRACTIONS, seed)
            except ConfigError as error:
                raise ConfigError(f"{self._root}: {error}") from None
            self._pairs = [self._pairs[index] for index in share.of_names(image for image, _ in self._pairs).tolist()]
            if not self._pairs:
                raise ConfigError(
                    f"{self._root}: no images for split {split!r}; add some, or give it a larger fraction"
                )
        for number, (image, mask) in enumerate(self._pairs):
            report(number, "sizes of masks")
            self._check(image, mask)

    @staticmethod
    def class_names(root: str | os.PathLike[str], classes: Sequence[str] | str, **_: Any) -> list[str]:
        """The names of the classes; takes and raises what the class does."""
        return listed_classes(classes, root)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Image.Image, np.ndarray]:
        image, mask = self._pairs[index]
        path = os.path.join(self._root, mask)
        ids = np.asarray(open_image(path)).astype(np.int64)
        numbers = self._numbers[np.where((ids < 0) | (ids > MAX_ID), MAX_ID + 1, ids)]
        if (numbers == UNKNOWN).any():
            bad = int(ids[numbers == UNKNOWN][0])
            raise ConversionError(
                f"{path}: a pixel is {bad}, which is the number of no class; set dataset.ignore={bad} if such pixels"
                " have none, dataset.mask_ids to the numbers of the classes, or name more dataset.classes"
            )
        return open_image(os.path.join(self._root, image)), numbers.astype(np.uint8)

    def manifest(self) -> Manifest:
        """Each picture's path below the root, and the size of it and its mask."""
        from ffcv_hydra.beton import Manifest

        sizes = [sum(os.stat(os.path.join(self._root, name)).st_size for name in pair) for pair in self._pairs]
        return Manifest([image for image, _ in self._pairs], sizes, classes=self.classes, kind="images")

    def _found(self, images: str, masks: str, image_ending: str, mask_ending: str) -> list[tuple[str, str]]:
        """The paths of pictures and their masks, below the root, as both folders are."""
        images, masks = (os.path.join(self._root, folder) for folder in (images, masks))
        pictures, labels = _by_name(images, image_ending), _by_name(masks, mask_ending)
        if not pictures:
            raise ConfigError(f"{images}: no pictures in it; add some, or set dataset.images and dataset.image_ending")
        for here, other, ending, what in (
            (pictures, labels, mask_ending, "mask"),
            (labels, pictures, image_ending, "picture"),
        ):
            lacking = next((name for name in here if name not in other), None)
            if lacking is not None:
                wanted = os.path.join(masks if what == "mask" else images, f"{lacking}{ending}")
                raise ConfigError(f"{here[lacking]}: there is no {what} {wanted}.*; add it, or remove this file")
        return [(self._below(pictures[name]), self._below(labels[name])) for name in pictures]

    def _below(self, path: str) -> str:
        return os.path.relpath(path, self._root).replace(os.sep, "/")

    def _check(self, image: str, mask: str) -> None:
        """That a mask has ids, and the size of its picture; by the beginnings of both files."""
        path = os.path.join(self._root, mask)
        picture_size = _head(os.path.join(self._root, image))[1]
        mode, size = _head(path)
        if mode not in MODES:
            raise ConfigError(
                f"{path}: is of mode {mode}: colours, not numbers of classes; save masks as grey levels (L) or with a"
                " palette (P) whose indices are the classes"
            )
        if size != picture_size:
            told = "{} x {}, its picture {} x {}".format(*size, *picture_size)
            raise ConfigError(f"{path}: the mask has {told}; save it in the picture's size")


def _numbers(num_classes: int, ids: Sequence[int] | None, ignore: int | None) -> np.ndarray:
    """int16 (65537,): by what a pixel is its class, `VOID` or `UNKNOWN`."""
    chosen = list(range(num_classes)) if ids is None else list(ids)
    if (
        len(chosen) != num_classes
        or len({*chosen, ignore}) <= num_classes
        or not all(0 <= one <= MAX_ID for one in chosen)
    ):
        raise ConfigError(
            f"dataset.mask_ids={chosen}, dataset.ignore={ignore}: give each of the {num_classes} classes"
            f" a number of its own, from 0 to {MAX_ID}"
        )
    if num_classes > VOID:
        raise ConfigError(f"dataset.classes: {num_classes} classes; masks hold at most {VOID}")
    numbers = np.full(MAX_ID + 2, UNKNOWN, dtype=np.int16)
    if ignore is not None:
        numbers[ignore] = VOID
    numbers[chosen] = np.arange(num_classes)
    return numbers


def _divided(root: str, images: str, masks: str, folder: str) -> tuple[str, str] | None:
    """The folders of a split's pictures and masks below the root; None if it has none."""
    both = [(f"{folder}/{images}", f"{folder}/{masks}"), (f"{images}/{folder}", f"{masks}/{folder}")]
    return next((pair for pair in both if all(os.path.isdir(os.path.join(root, part)) for part in pair)), None)


def _by_name(folder: str, ending: str) -> dict[str, str]:
    """The paths of pictures, by their path below the folder without ending and suffix, in the order of these."""
    if not os.path.isdir(folder):
        raise ConfigError(f"{folder}: no such folder; put it there, or set dataset.images and dataset.masks")
    suffixes = image_suffixes()
    found: dict[str, str] = {}
    for inner, _, files in sorted(os.walk(folder, followlinks=True)):
        for file in sorted(files):
            stem, suffix = os.path.splitext(file)
            if suffix.lower() in suffixes and stem.endswith(ending):
                path = os.path.join(inner, file)
                name = os.path.relpath(os.path.join(inner, stem.removesuffix(ending)), folder)
                if name in found:
                    raise ConfigError(f"{path}: {found[name]} has this name, too; remove one of them")
                found[name] = path
                report(len(found), "names of images")
    return found


def _head(path: str) -> tuple[str, tuple[int, int]]:
    """The mode and the size (width, height) of a picture, of which only the beginning is read."""
    try:
        with Image.open(path) as image:
            return image.mode, image.size
    except (OSError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{path}: {error}; replace it") from error
