"""Pictures in files, with boxes and what else people have marked in them."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from ffcv_hydra.datasets.opened_image import open_image
from ffcv_hydra.datasets.progress import report
from ffcv_hydra.errors import ConfigError, ConversionError, SourceMissingError
from ffcv_hydra.nearest import hint

if TYPE_CHECKING:
    from ffcv_hydra.beton import Manifest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Annotated:
    """A picture and what is marked in it.

    Attributes:
        name: The picture's path below the folder of the dataset.
        size: Its width and height in pixels, as the annotation tells; None if it does not.
        marks: By the item's name: `boxes` float32 (n, 4), `labels` int64 (n,), ...
        stamp: A number that changes when `marks` do.
    """

    name: str
    size: tuple[int, int] | None
    marks: dict[str, Any]
    stamp: int


class AnnotatedImages:
    """Base: items are tuples of what `items` names, of one split.

    `image` is a picture as `PIL.Image.open` returns it, not yet decoded; `boxes` are float32 (n, 4): x1, y1, x2, y2 in
    pixels from the upper left corner of the image, whose right and lower edges are at its width and height; `labels`
    are int64 (n,), the number of each box's class. An image may have no boxes.

    Attributes:
        offered: Names of items that there are besides `image`.
        classes: Names of the classes.
    """

    offered: ClassVar[tuple[str, ...]] = ("boxes", "labels")
    classes: list[str]
    _samples: list[Annotated]

    def __init__(self, root: str | os.PathLike[str], items: Sequence[str]) -> None:
        self._root = os.path.abspath(os.path.expanduser(root))
        if not os.path.isdir(self._root):
            raise SourceMissingError(f"dataset.root={self._root}: no such folder; name the one that holds the dataset")
        known = ("image", *self.offered)
        if unknown := [name for name in items if name not in known]:
            raise ConfigError(f"dataset.fields: there is no item {unknown[0]!r} to store; {hint(unknown[0], known)}")
        self.items = tuple(items)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        sample = self._samples[index]
        path = os.path.join(self._root, sample.name)
        image = open_image(path)
        if sample.size not in (None, image.size):
            told, found = ("{} x {}".format(*size) for size in (sample.size, image.size))
            raise ConversionError(
                f"{path}: its annotation is of {told} pixels, the picture has {found}; put the one there that was"
                " annotated"
            )
        values = {"image": image, **self._marks(sample, image)}
        return tuple(values[name] for name in self.items)

    def manifest(self) -> Manifest:
        """Each picture's path below the root, its size, and a number that changes with what is marked in it."""
        from ffcv_hydra.beton import Manifest

        sizes = []
        for number, sample in enumerate(self._samples):
            report(number, "sizes of images")
            sizes.append(os.stat(os.path.join(self._root, sample.name)).st_size)
        names, stamps = zip(*((sample.name, sample.stamp) for sample in self._samples), strict=True)
        return Manifest(names, sizes, classes=self.classes, kind="images", hashes=stamps)

    def _marks(self, sample: Annotated, image: Image.Image) -> dict[str, Any]:
        return sample.marks

    def _tell(self, split: str, flat: int, special: str = "") -> None:
        """Say in a line what is not as one may expect: boxes left out, `special` ones, and images without any."""
        empty = sum(not len(sample.marks["boxes"]) for sample in self._samples)
        told = [
            f"left out {flat:,} boxes without an area" if flat else "",
            special,
            f"{empty:,} of {len(self._samples):,} images have no boxes" if empty else "",
        ]
        if any(told):
            level = logging.WARNING if flat else logging.INFO
            logger.log(level, "%s: split %r: %s", self._root, split, "; ".join(filter(None, told)))
