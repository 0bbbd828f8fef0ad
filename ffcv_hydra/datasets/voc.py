"""PASCAL VOC's detection data, and what labelling programs write in this format."""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ffcv_hydra.datasets.annotated_images import Annotated, AnnotatedImages
from ffcv_hydra.datasets.image_suffixes import image_suffixes
from ffcv_hydra.datasets.listed_classes import listed_classes
from ffcv_hydra.datasets.marks import fitted_boxes, have_area
from ffcv_hydra.datasets.opened_image import open_image
from ffcv_hydra.datasets.progress import report
from ffcv_hydra.errors import ConfigError

SIDES = ("xmin", "ymin", "xmax", "ymax")

logger = logging.getLogger(__name__)


class VOC(AnnotatedImages):
    """Images that a file of a set names, with the boxes of their XML files, see `AnnotatedImages`.

    Below `root` are `ImageSets/Main/SET.txt`, a name on each line; `Annotations/NAME.xml`, and `JPEGImages/NAME.jpg` or
    another suffix. A name without an XML file has no boxes. All XML files are checked before a picture is opened.

    Args:
        root: The folder, as `VOCdevkit/VOC2012`.
        split: A name in `image_sets`.
        classes: Names of the classes, or the path of a file with a name on each line, relative to `root`.
        image_sets: By split, its SET. By default those of the splits' names.
        items: What an item of the dataset holds, in this order: `image`; `boxes`; `labels`; `difficult`, uint8 (n,).
        first_pixel: The number of the first column and row. 1, as in VOC, whose last column of a box belongs to it: a
            box from 1 to 10 is 10 pixels wide. 0 if numbers are places between pixels: from 0 to 10 it is.
        clip: Clip boxes that reach over their image by more than a pixel, instead of refusing them.

    Raises:
        ConfigError: an XML file is not what it has to be, or a picture is missing; names file and object.
        SourceMissingError: there is no such folder.
    """

    offered = ("boxes", "labels", "difficult")

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str,
        classes: Sequence[str] | str,
        image_sets: Mapping[str, str | None] | None = None,
        items: Sequence[str] = ("image", "boxes", "labels"),
        first_pixel: int = 1,
        clip: bool = False,
    ) -> None:
        super().__init__(root, items)
        self.classes = self.class_names(self._root, classes)
        self._first_pixel, self._clip, self._flat = first_pixel, clip, 0
        path, names = self._names(split, (image_sets or {}).get(split, split) or split)
        pictures = self._pictures()
        if lacking := [name for name in names if name not in pictures]:
            folder = os.path.join(self._root, "JPEGImages")
            raise ConfigError(f"{path}: there is no picture of {lacking[0]!r} in {folder}; add it, or remove the line")
        self._samples, num_without = [], 0
        self._unknown: dict[str, str] = {}  # classes, with an object of theirs
        for number, name in enumerate(names):
            report(number, "XML files")
            xml = os.path.join(self._root, "Annotations", f"{name}.xml")
            num_without += not os.path.isfile(xml)
            self._samples.append(self._annotated(pictures[name], xml))
        if num_without == len(names):
            raise ConfigError(f"{self._root}: Annotations has no XML file for any name of {path}; put them there")
        if self._unknown:
            self._refuse_unknown()
        if num_without:
            logger.warning("%s: %d of %d images have no XML file: no boxes", path, num_without, len(names))
        difficult = sum(int(sample.marks["difficult"].sum()) for sample in self._samples)
        told = difficult and "difficult" not in items
        self._tell(split, self._flat, f"{difficult:,} difficult boxes are stored as others" if told else "")

    @staticmethod
    def class_names(root: str | os.PathLike[str], classes: Sequence[str] | str, **_: Any) -> list[str]:
        """The names of the classes; takes and raises what the class does."""
        return listed_classes(classes, root)

    def _names(self, split: str, name: str) -> tuple[str, list[str]]:
        """The path of a set's file, and the names in it."""
        path = os.path.join(self._root, "ImageSets", "Main", f"{name}.txt")
        if not os.path.isfile(path):
            raise ConfigError(
                f"{path}: no such file; write the names of split {split!r} into it, or set dataset.image_sets.{split}"
                " to the name of the file that has them"
            )
        with open(path, encoding="utf-8") as file:
            names = [line.split()[0] for line in file if line.strip()]
        if not names:
            raise ConfigError(f"{path}: no names in it; write one on each line")
        if len(set(names)) < len(names):
            twice = next(name for number, name in enumerate(names) if name in names[:number])
            raise ConfigError(f"{path}: {twice!r} is there twice; remove one of the lines")
        return path, names

    def _pictures(self) -> dict[str, str]:
        """The paths of pictures, below the root, by their names."""
        folder = os.path.join(self._root, "JPEGImages")
        if not os.path.isdir(folder):
            raise ConfigError(f"{folder}: no such folder; put the pictures there")
        found = (os.path.splitext(file) for file in sorted(os.listdir(folder)))
        suffixes = image_suffixes()
        return {name: f"JPEGImages/{name}{suffix}" for name, suffix in found if suffix.lower() in suffixes}

    def _annotated(self, picture: str, xml: str) -> Annotated:
        if not os.path.isfile(xml):
            return Annotated(picture, None, self._columns(np.zeros((0, 4)), [], (1, 1), []), 0)
        with open(xml, "rb") as file:
            content = file.read()
        try:
            tree = ElementTree.fromstring(content)
        except ElementTree.ParseError as error:
            raise ConfigError(f"{xml}: no XML ({error}); correct it") from error
        size = (_number(tree, "size/width", xml, "0"), _number(tree, "size/height", xml, "0"))
        told = (int(size[0]), int(size[1])) if min(size) > 0 else None  # some programs write zeros
        objects = tree.findall("object")
        where = [f"{xml}: object {number} ({thing.findtext('name')})" for number, thing in enumerate(objects, 1)]
        sides = [
            [_number(thing, f"bndbox/{side}", at) for side in SIDES] for thing, at in zip(objects, where, strict=True)
        ]
        boxes = np.array(sides, dtype=np.float64).reshape(-1, 4)
        boxes[:, :2] -= self._first_pixel
        marks = self._columns(boxes, objects, told or open_image(os.path.join(self._root, picture)).size, where)
        return Annotated(picture, told, marks, zlib.crc32(content))

    def _columns(
        self, boxes: np.ndarray, objects: Sequence[ElementTree.Element], size: tuple[int, int], where: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """By name the items that have an entry per box."""
        fitted = fitted_boxes(boxes, size, self._clip, where.__getitem__)
        names = [(thing.findtext("name") or "").strip() for thing in objects]
        for name, at in zip(names, where, strict=True):
            if name not in self.classes:
                self._unknown.setdefault(name, at)
        kept = have_area(fitted)
        self._flat += int((~kept).sum())
        labels = [self.classes.index(name) if name in self.classes else -1 for name in names]
        difficult = [(thing.findtext("difficult") or "0").strip() == "1" for thing in objects]
        return {
            "boxes": fitted[kept],
            "labels": np.array(labels, dtype=np.int64)[kept],
            "difficult": np.array(difficult, dtype=np.uint8)[kept],
        }

    def _refuse_unknown(self) -> None:
        name, where = next(iter(self._unknown.items()))
        every = {label for sample in self._samples for label in sample.marks["labels"].tolist() if label >= 0}
        used = sorted([self.classes[label] for label in every] + list(self._unknown))
        raise ConfigError(
            f"{where}: {name!r} is none of dataset.classes; correct it, or name the classes that there are:"
            f" 'dataset.classes=[{','.join(used)}]'"
        )


def _number(element: ElementTree.Element, path: str, where: str, default: str = "") -> float:
    text = element.findtext(path, default)
    try:
        return float(text)
    except ValueError:
        told = f"is {text!r}" if text else "is missing"
        raise ConfigError(f"{where}: {path.replace('/', '.')} {told}; write a number of pixels there") from None
