"""Folders of pictures and label files as Ultralytics' YOLO has them."""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ffcv_hydra.datasets.annotated_images import Annotated, AnnotatedImages
from ffcv_hydra.datasets.marks import checked_keypoints, fitted_boxes, have_area
from ffcv_hydra.datasets.progress import report
from ffcv_hydra.datasets.yolo_files import label_path, names_in, pictures_of, read_data
from ffcv_hydra.errors import ConfigError, ConversionError

OVERHANG = 0.01  # of the image's side; how many pixels that is only the picture says
ORIENTATION = 0x0112  # in EXIF

logger = logging.getLogger(__name__)


class YOLO(AnnotatedImages):
    """Images of one split that `data.yaml` names, with the boxes of their label files, see `AnnotatedImages`.

    The labels of `.../images/a/1.jpg` are in `.../labels/a/1.txt`, a line for each box: number of the class, x and y of
    the centre, width, height, as shares of the image's sides. Where a line is a polygon (class, x, y, x, y, ...), the
    box is the one around it. A picture without a label file has no boxes. All label files are checked before a picture
    is opened.

    Args:
        root: The folder that `data` is in.
        split: A name in `keys`.
        data: The file that says where the pictures are (folders, or lists of paths in text files) and what classes are
            called (`names`); for poses also `kpt_shape`.
        keys: By split, what it is called in `data`.
        items: What an item of the dataset holds, in this order: `image`; `boxes`; `labels`; `keypoints`, float32
            (n, K, 3): x, y, visibility; `polygons`, for each box a list of float32 (k, 2), one or none.
        clip: Clip boxes and polygons that reach over their image, and count points outside as not labelled, instead of
            refusing them. Up to 1 % of the side is clipped anyway.

    Raises:
        ConfigError: `data`, or a line, is not what it has to be; names file and line.
        SourceMissingError: there is no such folder.
    """

    offered = ("boxes", "labels", "keypoints", "polygons")

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str,
        data: str = "data.yaml",
        keys: Mapping[str, str | None] | None = None,
        items: Sequence[str] = ("image", "boxes", "labels"),
        clip: bool = False,
    ) -> None:
        super().__init__(root, items)
        self._path = os.path.join(self._root, data)
        self._clip = clip
        content = read_data(self._path)
        self.classes = names_in(content, self._path)
        self._points = tuple(content.get("kpt_shape") or ())
        if "keypoints" in items and len(self._points) != 2:
            raise ConfigError(f"{self._path}: has no kpt_shape, as [17, 3]; add it, or store no keypoints")
        paths = pictures_of((keys or {}).get(split, split) or split, content, self._path)
        self._samples, self._flat, without_labels = [], 0, []
        for number, path in enumerate(paths):
            report(number, "label files")
            labels = label_path(path)
            if not os.path.isfile(labels):
                without_labels.append(labels)
            self._samples.append(self._annotated(path, labels))
        if len(without_labels) == len(paths):
            raise ConfigError(
                f"{self._path}: split {split!r}: none of its {len(paths):,} pictures has a label file; the first one is"
                f" looked for at {without_labels[0]}"
            )
        if without_labels:
            count = f"{len(without_labels):,} of {len(paths):,}"
            logger.warning("%s: split %r: %s pictures have no label file: no boxes", self._path, split, count)
        self._tell(split, self._flat)

    @staticmethod
    def class_names(root: str | os.PathLike[str], data: str = "data.yaml", **_: Any) -> list[str]:
        """The names of the classes; takes and raises what the class does."""
        path = os.path.join(os.path.abspath(os.path.expanduser(root)), data)
        return names_in(read_data(path), path)

    def _annotated(self, path: str, labels: str) -> Annotated:
        content = b""
        if os.path.isfile(labels):
            with open(labels, "rb") as file:
                content = file.read()
        lines = [(number, line.split()) for number, line in enumerate(content.decode(errors="replace").splitlines(), 1)]
        rows = [(number, self._values(values, f"{labels}, line {number}")) for number, values in lines if values]

        def where(row: int) -> str:
            return f"{labels}, line {rows[row][0]} (shares of the image's sides)"

        boxes = np.array([_box(values, self._is_polygon(values)) for _, values in rows]).reshape(-1, 4)
        fitted = fitted_boxes(boxes, (1, 1), self._clip, where, OVERHANG)
        kept = have_area(fitted)
        self._flat += int((~kept).sum())
        marks: dict[str, Any] = {
            "boxes": fitted[kept],
            "labels": np.array([values[0] for _, values in rows], dtype=np.int64)[kept],
        }
        if "keypoints" in self.items:
            points = np.array([values[5:] for _, values in rows]).reshape(len(rows), *self._points)
            if self._points[1] == 2:  # all of them are labelled
                points = np.concatenate([points, np.full((*points.shape[:2], 1), 2.0)], axis=2)
            marks["keypoints"] = checked_keypoints(points, (1, 1), self._clip, where, OVERHANG)[kept]
        if "polygons" in self.items:
            marks["polygons"] = [
                [np.clip(values[1:].reshape(-1, 2), 0, 1).astype(np.float32)] if self._is_polygon(values) else []
                for row, (_, values) in enumerate(rows)
                if kept[row]
            ]
        return Annotated(os.path.relpath(path, self._root).replace(os.sep, "/"), None, marks, zlib.crc32(content))

    def _values(self, texts: list[str], where: str) -> np.ndarray:
        """float64: the numbers of a line, of which there are as many as there may be."""
        try:
            values = np.array(texts, dtype=np.float64)
        except ValueError as error:
            raise ConfigError(f"{where}: {error}; write numbers with blanks between them") from error
        if self._points:
            wanted, is_right = f"5 + {' x '.join(map(str, self._points))}", len(values) == 5 + np.prod(self._points)
        else:
            wanted, is_right = "5, or for a polygon 7, 9, ...", len(values) == 5 or self._is_polygon(values)
        if not is_right:
            raise ConfigError(f"{where}: {len(values)} values; a line has {wanted}; correct it, or remove it")
        if values[0] not in range(len(self.classes)):
            names = f"{len(self.classes)} classes, from 0 on"
            raise ConfigError(f"{where}: class {texts[0]}; {self._path} has {names}; correct it, or add a name there")
        return values

    def _is_polygon(self, values: np.ndarray) -> bool:
        return not self._points and len(values) > 6 and len(values) % 2 == 1

    def _marks(self, sample: Annotated, image: Image.Image) -> dict[str, Any]:
        """In pixels."""
        if len(sample.marks["boxes"]) and image.getexif().get(ORIENTATION, 1) != 1:
            raise ConversionError(
                f"{sample.name}: EXIF tells to turn it, and not whether its labels are of the turned picture; save it"
                " turned (PIL.ImageOps.exif_transpose), or without EXIF"
            )
        size = np.array(image.size, dtype=np.float32)
        marks = {**sample.marks, "boxes": sample.marks["boxes"] * np.tile(size, 2)}
        if "keypoints" in marks:
            marks["keypoints"] = marks["keypoints"] * np.append(size, np.float32(1))
        if "polygons" in marks:
            marks["polygons"] = [[polygon * size for polygon in polygons] for polygons in marks["polygons"]]
        return marks


def _box(values: np.ndarray, is_polygon: bool) -> np.ndarray:
    """x1, y1, x2, y2 of what stands in a line as centre, width, height, or around the points of a polygon."""
    if is_polygon:
        points = values[1:].reshape(-1, 2)
        return np.concatenate([points.min(axis=0), points.max(axis=0)])
    return np.concatenate([values[1:3] - values[3:5] / 2, values[1:3] + values[3:5] / 2])
