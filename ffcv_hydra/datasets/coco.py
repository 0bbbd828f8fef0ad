"""COCO's instances and keypoints, and what others have written in this format."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from ffcv_hydra.datasets.annotated_images import Annotated, AnnotatedImages
from ffcv_hydra.datasets.coco_file import numbers_of, read_class_names, read_instances
from ffcv_hydra.datasets.marks import checked_keypoints, fitted_boxes, fitted_points, have_area
from ffcv_hydra.datasets.progress import report
from ffcv_hydra.datasets.run_masks import mask_of_runs, outlines_of
from ffcv_hydra.errors import ConfigError

Record = Mapping[str, Any]


class COCO(AnnotatedImages):
    """Images of one split with the boxes that a JSON file of COCO's format has for them, see `AnnotatedImages`.

    Classes are numbered from 0 on, in the order of the categories' ids, those of `train` for all splits; an image that
    the file lists without an annotation has no boxes. All of the file is checked before a picture is opened.

    Args:
        root: The folder that the other paths are in.
        split: A name in `annotations` and `images`.
        annotations: By split, the path of its JSON file.
        images: By split, the folder of its pictures.
        items: What an item of the dataset holds, in this order: `image`; `boxes`; `labels`; `crowd`, uint8 (n,), 1 for
            a box around a crowd; `keypoints`, float32 (n, K, 3): x, y, visibility; `polygons`, for each box a list
            of float32 (k, 2), of masks of runs (RLE) their outer outlines. Without `crowd`, boxes around crowds are
            left out.
        clip: Clip boxes and polygons that reach over their image, and count points outside as not labelled, instead of
            refusing them. Up to one pixel is clipped anyway.

    Raises:
        ConfigError: an annotation is not what it has to be, or a picture is missing; names file and record.
        SourceMissingError: the folder or the JSON file is missing.
    """

    offered = ("boxes", "labels", "crowd", "keypoints", "polygons")

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str,
        annotations: Mapping[str, str | None],
        images: Mapping[str, str | None],
        items: Sequence[str] = ("image", "boxes", "labels"),
        clip: bool = False,
    ) -> None:
        super().__init__(root, items)
        self._path = _path(self._root, split, annotations)
        self._clip = clip
        pictures, records, categories = read_instances(self._path)
        own = list(categories.values())
        self.classes = own if split == "train" else self.class_names(root, split, annotations)
        if foreign := [name for name in own if name not in self.classes]:
            raise ConfigError(f"{self._path}: category {foreign[0]!r} is none of split 'train'; add it there")
        names = [self._picture(picture, images.get(split) or "", number) for number, picture in enumerate(pictures)]
        sizes = [(picture["width"], picture["height"]) for picture in pictures]
        num_crowds = sum(bool(record.get("iscrowd")) for record in records)
        if "crowd" not in items:
            records = [record for record in records if not record.get("iscrowd")]
        places = {picture["id"]: place for place, picture in enumerate(pictures)}
        records.sort(key=lambda record: self._known(record, "image_id", places, "image"))  # stable
        owners = np.array([places[record["image_id"]] for record in records], dtype=np.int64)
        labels = {key: self.classes.index(name) for key, name in categories.items()}
        columns = self._columns(records, labels, np.array(sizes, dtype=np.float64)[owners])
        kept = np.flatnonzero(have_area(columns["boxes"]))
        starts = np.searchsorted(owners[kept], np.arange(len(pictures) + 1))
        self._samples = []
        for place, (name, size) in enumerate(zip(names, sizes, strict=True)):
            rows = kept[starts[place] : starts[place + 1]]
            marks: dict[str, Any] = {item: column[rows] for item, column in columns.items()}
            if "polygons" in items:
                marks["polygons"] = [self._polygons(records[row], size) for row in rows]
            stamp = zlib.crc32(b"".join(part.tobytes() for part in (*marks.values(),) if isinstance(part, np.ndarray)))
            for points in chain.from_iterable(marks.get("polygons", ())):
                stamp = zlib.crc32(points.tobytes(), stamp)
            self._samples.append(Annotated(name, size, marks, stamp))
        are = "are among the others, told by the field crowd" if "crowd" in items else "are left out"
        self._tell(split, len(records) - len(kept), f"{num_crowds:,} boxes around crowds {are}" if num_crowds else "")

    @staticmethod
    def class_names(
        root: str | os.PathLike[str], split: str, annotations: Mapping[str, str | None], **_: Any
    ) -> list[str]:
        """The names of the classes, without reading all of a file; takes and raises what the class does."""
        root = os.path.abspath(os.path.expanduser(root))
        return read_class_names(_path(root, "train" if annotations.get("train") else split, annotations))

    def keep_classes(self, names: Sequence[str]) -> None:
        """Let the classes have the numbers that they have in `names`, and those that are not there the ones after."""
        before = self.classes
        self.classes = list(dict.fromkeys([*names, *before]))
        numbers = np.array([self.classes.index(name) for name in before], dtype=np.int64)
        for sample in self._samples:
            sample.marks["labels"] = numbers[sample.marks["labels"]]

    def _picture(self, picture: Record, folder: str, number: int) -> str:
        """The path of a picture below the root."""
        report(number, "images")
        name = "/".join(part for part in (folder, str(picture["file_name"])) if part)
        path = os.path.join(self._root, name)
        if not os.path.isfile(path):
            raise ConfigError(
                f"{self._path}: image {picture['id']}: there is no {path}; put it there, or set dataset.images to the"
                " folders of the splits' pictures"
            )
        if not all(isinstance(picture[side], int) and picture[side] > 0 for side in ("width", "height")):
            size = f"{picture['width']} x {picture['height']}"
            raise ConfigError(f"{self._path}: image {picture['id']}: its size is {size}; give whole numbers of pixels")
        return name

    def _columns(self, records: list[Any], labels: Mapping[Any, int], sizes: np.ndarray) -> dict[str, np.ndarray]:
        """By name the items that have an entry per box, of all images one after the other."""
        boxes = np.array([numbers_of(record, "bbox", 4, self._where) for record in records], dtype=np.float64)
        boxes = boxes.reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        found = {
            "boxes": fitted_boxes(boxes, sizes, self._clip, lambda box: self._where(records[box])),
            "labels": np.array(
                [self._known(record, "category_id", labels, "category") for record in records], np.int64
            ),
            "crowd": np.array([bool(record.get("iscrowd")) for record in records], dtype=np.uint8),
        }
        if "keypoints" in self.items:
            length = next((len(record["keypoints"]) for record in records if record.get("keypoints")), 0)
            points = [numbers_of(record, "keypoints", max(length // 3 * 3, 3), self._where) for record in records]
            values = np.array(points, dtype=np.float64).reshape(len(records), length // 3, 3)
            keypoints = checked_keypoints(values, sizes, self._clip, lambda box: self._where(records[box]))
            found["keypoints"] = keypoints if records else np.zeros(0)  # their number nobody has told
        return found

    def _polygons(self, record: Record, size: tuple[int, int]) -> list[np.ndarray]:
        """float32 (k, 2) each."""
        parts = record.get("segmentation", [])
        if isinstance(parts, dict):
            return self._outlines(record, parts, size)
        found = []
        for part in parts:
            if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
                raise ConfigError(
                    f"{self._where(record)}: a polygon is no list of x, y of three points or more; correct it"
                )
            points = np.array(part, dtype=np.float64).reshape(-1, 2)
            found.append(fitted_points(points, size, self._clip, lambda _: f"{self._where(record)}: polygon"))
        return found

    def _outlines(self, record: Record, runs: Mapping[str, Any], size: tuple[int, int]) -> list[np.ndarray]:
        """Those of a mask of runs, float32 (k, 2) each."""
        width, height = size
        try:
            if runs.get("size") != [height, width]:
                raise ValueError(f"its size is {runs.get('size')}, and its image is {height} x {width}")
            return outlines_of(mask_of_runs(runs.get("counts", []), height, width))
        except ValueError as error:
            raise ConfigError(
                f"{self._where(record)}: segmentation: {error}; correct it, or store no polygons"
            ) from error

    def _known(self, record: Record, key: str, known: Mapping[Any, int], what: str) -> int:
        number = known.get(record[key])
        if number is None:
            raise ConfigError(
                f"{self._path}: annotation {record['id']}: {key} {record[key]!r} is no {what} of the file; correct it,"
                f" or add the {what}"
            )
        return number

    def _where(self, record: Record) -> str:
        return f"{self._path}: annotation {record['id']} of image {record['image_id']}"


def _path(root: str, split: str, annotations: Mapping[str, str | None]) -> str:
    path = annotations.get(split)
    if path is None:
        raise ConfigError(f"dataset.annotations has no file for split {split!r}; set dataset.annotations.{split}")
    return os.path.join(root, path)
