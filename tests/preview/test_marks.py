"""What is drawn over pictures: boxes with their classes, points and polygons, stored and as pipelines move them."""

import numpy as np
import pytest
import torch
from PIL import Image

from ffcv_hydra.beton import (
    Beton,
    BoundingBoxesField,
    KeypointsField,
    Manifest,
    PolygonsField,
    RaggedArrayField,
    write_beton,
)
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.plan.request import request
from ffcv_hydra.operations.padded import PaddedArray
from ffcv_hydra.preview import contact_sheet, preview
from ffcv_hydra.preview.drawing import Column, draw
from ffcv_hydra.preview.marks import Mark, places_of

OPERATIONS = "ffcv_hydra.operations"
FIELDS = {
    "image": {"write_mode": "raw"},
    "boxes": BoundingBoxesField("xywh"),
    "crowd": RaggedArrayField("uint8", follows="boxes"),
    "labels": RaggedArrayField("int64", follows="boxes"),
    "points": KeypointsField(num_points=2),
    "shapes": PolygonsField(),
}
TRIANGLE = np.array([[0, 0], [8, 0], [0, 8]], np.float32)


class Scenes(list):
    def manifest(self):
        return Manifest([str(number) for number in range(len(self))], classes=["cat", "dog", "bird"])


@pytest.fixture(scope="module")
def beton(tmp_path_factory):
    """A picture of 40 x 20 with two boxes, and one of 512 x 256 without anything."""
    path = tmp_path_factory.mktemp("beton") / "scenes.beton"
    boxes = np.array([[2, 4, 10, 6], [20, 10, 20, 10]], np.float32)
    points = np.array([[[5, 6, 2], [7, 8, 1]]], np.float32)
    first = boxes, np.array([0, 1], np.uint8), np.array([2, 1]), points, [TRIANGLE, TRIANGLE + 4]
    second = boxes[:1] * 10, np.array([1], np.uint8), np.array([0]), points[:0], []
    images = [Image.new("RGB", size) for size in ((40, 20), (512, 256))]
    samples = [(image, *places) for image, places in zip(images, (first, second), strict=True)]
    write_beton(Scenes(samples), path, FIELDS, num_workers=0)
    return path


def sheet(beton, tmp_path, monkeypatch, pipelines):
    """The columns of two samples in one epoch, by title."""
    split = {"source": None, "beton": str(beton), "indices": None}
    order = {"_target_": "ffcv_hydra.ordering.Sequential"}
    config = {
        "mode": "fit",
        "seed": 5,
        "data_dir": str(tmp_path),
        "dataset": {"name": "scenes", "fields": None, "splits": {"train": split, "val": split}},
        "pipeline": {"train": {**dict.fromkeys(FIELDS, "disabled"), **pipelines}},
        "ordering": {"train": order, "eval": order},
        "loader": {"batch_size": 2, "replace_ffcv_operations": True},
        "conversion": {"indices": None},
    }
    seen = []
    monkeypatch.setattr(contact_sheet, "draw", lambda *arguments: seen.extend(arguments))
    preview(config, tmp_path / "sheet.png", num_epochs=1)
    return {column.title: column for column in seen[0]}


RESIZED = [{"_target_": f"{OPERATIONS}.Resize", "size": [40, 40]}, {"_target_": f"{OPERATIONS}.ToTensor"}]


@pytest.mark.timeout(200)
def test_boxes_lie_where_the_pictures_show_them(beton, tmp_path, monkeypatch):
    columns = sheet(beton, tmp_path, monkeypatch, {"image": RESIZED, "boxes": None, "labels": None})
    stored, moved = columns["stored"].marks, columns["epoch 0"].marks
    assert [[mark.text for mark in marks] for marks in stored] == [["bird", "dog"], ["cat"]]
    assert stored[0][0].xy.tolist() == [[2, 4], [12, 4], [12, 10], [2, 10]]
    assert stored[1][0].xy[2].tolist() == [60, 50], "a picture that is shown at half its size"
    assert moved[0][0].xy.tolist() == [[2, 8], [12, 8], [12, 20], [2, 20]]
    assert [mark.colour for mark in moved[0]] == [2, 1]
    assert [[mark.text for mark in marks] for marks in moved] == [["bird", "dog"], ["cat"]]


@pytest.mark.timeout(200)
def test_points_and_polygons_lie_over_their_image_too(beton, tmp_path, monkeypatch):
    columns = sheet(beton, tmp_path, monkeypatch, {"image": RESIZED, "points": None, "shapes": None})
    visible, hidden, first, second = columns["epoch 0"].marks[0]
    assert (visible.xy.tolist(), visible.is_filled, visible.is_line) == ([[5, 12]], True, False)
    assert (hidden.xy.tolist(), hidden.is_filled) == ([[7, 16]], False)
    assert first.is_line and np.allclose(first.xy, TRIANGLE * [1, 2])
    assert np.allclose(second.xy, (TRIANGLE + 4) * [1, 2]) and second.colour != first.colour
    assert columns["stored"].marks[1] == columns["epoch 0"].marks[1] == []


def test_polygons_of_boxes_have_their_classes_colours(tmp_path):
    fields = {"boxes": BoundingBoxesField(), "labels": RaggedArrayField("int64", follows="boxes")}
    fields["shapes"] = PolygonsField(follows="boxes")
    shapes = [[TRIANGLE], [TRIANGLE, TRIANGLE + 4]]
    write_beton([([[0, 0, 8, 8]] * 2, np.array([7, 5]), shapes)], tmp_path / "a.beton", fields, num_workers=0)
    beton = Beton(tmp_path / "a.beton")
    _, polygons = places_of(request({}, beton), beton)
    ((boxes, labels, rows),) = Loader(tmp_path / "a.beton", 1)
    [marks] = polygons.marks({"boxes": boxes, "labels": labels, "shapes": rows}, None)
    assert [(mark.colour, mark.xy.tolist()) for mark in marks] == [
        (7, TRIANGLE.tolist()), (5, TRIANGLE.tolist()), (5, (TRIANGLE + 4).tolist()),
    ]  # fmt: skip


def test_what_a_pipeline_made_into_something_else_is_not_drawn(beton):
    [boxes] = places_of(request({**dict.fromkeys(FIELDS, "disabled"), "boxes": None}, Beton(beton)), Beton(beton))
    data, lengths = torch.tensor([[[0.0, 0, 4, 4]], [[0.0, 0, 0, 0]]]), torch.tensor([1, 0])
    assert [len(marks) for marks in boxes.marks({"boxes": PaddedArray(data, lengths)}, None)] == [1, 0]
    assert [len(marks) for marks in boxes.marks({"boxes": [data[0], data[1, :0]]}, None)] == [1, 0]  # as ToList gives
    assert [len(marks) for marks in boxes.marks({"boxes": [PaddedArray(data, lengths)] * 2}, None, 1)] == [1, 0]
    for other in (data, PaddedArray(data[..., :3], lengths), ["text"], None):
        assert boxes.marks({"boxes": other}, None) == []


def test_marks_are_drawn_in_their_colours_and_stay_on_their_picture(tmp_path):
    line = Mark(np.array([[1, 1], [90, 1], [90, 7], [1, 7]]), 0, is_line=True, text="$x")
    marks = [[line, Mark(np.array([[2.0, 5.0], [6.0, 5.0]]), 1), Mark(np.array([[4.0, 3.0]]), 2, is_filled=False)]]
    draw([Column("a", [np.zeros((8, 8, 3))], marks=marks)], "title", [], tmp_path / "sheet.png")
    pixels = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    is_black = (pixels == 0).all(axis=2)
    for colour in ([238, 102, 119], [34, 136, 51], [204, 187, 68]):
        rows, columns = np.nonzero((np.abs(pixels - colour) < 8).all(axis=2))
        assert len(rows) > 5
        assert is_black[:, : columns.max() + 1].any() and columns.max() <= np.nonzero(is_black.any(axis=0))[0].max() + 1
