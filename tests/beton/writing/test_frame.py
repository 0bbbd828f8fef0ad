"""Boxes, points and polygons beside the image that they lie in."""

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import (
    Beton,
    BoundingBoxesField,
    GrayscaleImageField,
    KeypointsField,
    MaskField,
    PolygonsField,
    RandomAccessImageField,
    write_beton,
)
from ffcv_hydra.errors import ConversionError
from ffcv_hydra.loader import Loader

PIXELS = np.zeros((100, 200), np.uint8)
PLACES = {
    "xyxy": (BoundingBoxesField("xyxy"), [[20, 40, 120, 80]]),
    "xywh": (BoundingBoxesField("xywh"), [[20, 40, 100, 40]]),
    "cxcywh": (BoundingBoxesField("cxcywh"), [[70, 60, 100, 40]]),
    "points": (KeypointsField(3), [[[20, 40, 2], [120, 80, 1], [900, 900, 0]]]),
    "polygons": (PolygonsField(), [np.array([[20, 40], [120, 40], [120, 80]])]),
}
STORED = {"xyxy": [[5, 10, 30, 20]], "xywh": [[5, 10, 25, 10]], "cxcywh": [[17.5, 15, 25, 10]],
          "points": [[[5, 10, 2], [30, 20, 1], [225, 225, 0]]],
          "polygons": [[0, 5, 10], [0, 30, 10], [0, 30, 20]]}  # fmt: skip


def written(path, values, image=PIXELS, fields=None, **options):
    fields = fields or {"image": GrayscaleImageField("raw", max_resolution=50)}
    fields = {**{name: PLACES[name][0] for name in values}, **fields}
    return write_beton([(*values.values(), image)], path / "a.beton", fields, num_workers=0, **options)


@pytest.mark.parametrize("image", [PIXELS, Image.fromarray(PIXELS)], ids=["array", "picture"])
def test_places_shrink_as_their_image_does_wherever_it_stands(tmp_path, image):
    summary = written(tmp_path, {name: value for name, (_, value) in PLACES.items()}, image)
    assert summary.num_warnings == 0
    [batch] = Loader(tmp_path / "a.beton", 1, num_workers=1)
    outputs = dict(zip([*STORED, "image"], batch, strict=True))
    assert outputs["image"].shape == (1, 25, 50, 1)
    for name, expected in STORED.items():
        if name.startswith(("xy", "cx")):  # delivered as xyxy
            expected = STORED["xyxy"]
        assert outputs[name].data[0, : len(expected)].tolist() == expected, name


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("xyxy", [[0, 0, 200, 100], [0, 0, 202, 9]], "x 202, y 9"),
        ("xywh", [[-2, 0, 10, 10]], "x -2, y 0"),
        ("cxcywh", [[195, 50, 20, 20]], "x 205, y 60"),
        ("points", [[[0, 0, 0], [3, 120, 1], [3, 4, 2]]], "x 3, y 120"),
        ("polygons", [[[0, 0], [201, 0], [250, 9]]], "x 250, y 9"),
    ],
)
def test_places_outside_of_their_image_are_told_or_refused(tmp_path, name, value, told):
    summary = written(tmp_path, {name: value})
    line = f"sample 0, field '{name}': {told} is outside of the image, which is 200 x 100 pixels"
    assert summary.warnings == (line,)
    with pytest.raises(ConversionError, match=f"{line}; replace it, or leave this sample out"):
        written(tmp_path, {name: value}, on_warning="error")


def test_a_pixel_by_rounding_and_what_has_no_image_of_its_own_pass(tmp_path):
    assert written(tmp_path, {"xyxy": [[-1, -1, 201, 101]]}).num_warnings == 0
    far = {"xyxy": [[0, 0, 900, 900]]}
    fields = {"one": GrayscaleImageField("raw"), "two": RandomAccessImageField("raw")}
    dataset = [(far["xyxy"], PIXELS, np.zeros((9, 9, 3), np.uint8))]
    two = write_beton(dataset, tmp_path / "b.beton", {"boxes": BoundingBoxesField(), **fields}, num_workers=0)
    assert two.num_warnings == written(tmp_path, far, fields={"mask": MaskField()}).num_warnings == 0


def stored_boxes(path, **options):
    beton = Beton(path, **options)
    [offset], [size] = beton.extents("boxes")
    return np.frombuffer(path.read_bytes()[int(offset) :][: int(size)], np.float32).reshape(-1, 4).tolist()


def test_places_beside_pictures_of_one_size_shrink_as_all_do(tmp_path):
    fields = {
        "boxes": BoundingBoxesField(),
        "image": RandomAccessImageField("raw", max_resolution=50),
        "depth": GrayscaleImageField(bits=16, max_resolution=50),
    }
    sample = [[20, 40, 120, 80], [0, 0, 202, 9]], np.zeros((100, 200, 3), np.uint8), PIXELS.astype(np.uint16)
    summary = write_beton([sample], tmp_path / "a.beton", fields, num_workers=0)
    assert summary.warnings == (
        "sample 0, field 'boxes': x 202, y 9 is outside of the image, which is 200 x 100 pixels",
    )
    assert stored_boxes(tmp_path / "a.beton") == [[5, 10, 30, 20], [0, 0, 50.5, 2.25]]


@pytest.mark.parametrize(("other", "size"), [(None, (100, 200)), (50, (100, 100)), (40, (100, 200))])
def test_places_of_who_knows_which_picture_are_refused_where_one_shrinks(tmp_path, other, size):
    image = GrayscaleImageField("raw", max_resolution=50)
    fields = {"image": image, "boxes": BoundingBoxesField(), "other": GrayscaleImageField("raw", max_resolution=other)}
    dataset = [(PIXELS, [[20, 40, 120, 80]], np.zeros(size, np.uint8))]
    with pytest.raises(ConversionError, match="sample 0, field 'boxes': .* 200 x 100 to 50 x 25 .* give all one size"):
        write_beton(dataset, tmp_path / "a.beton", fields, num_workers=0)


class NamedBoxes(BoundingBoxesField):
    def encode(self, destination, value, malloc):
        super().encode(destination, value["boxes"], malloc)


def test_the_encode_of_a_derived_class_is_called_beside_an_image(tmp_path):
    fields = {"boxes": NamedBoxes(), "image": GrayscaleImageField("raw", max_resolution=50)}
    dataset = [({"boxes": [[20, 40, 120, 80]]}, PIXELS)]
    write_beton(dataset, tmp_path / "a.beton", fields, num_workers=0)
    assert stored_boxes(tmp_path / "a.beton", custom_fields={"boxes": NamedBoxes}) == [[5, 10, 30, 20]]


def test_a_sample_counts_once_however_many_of_its_fields_have_faults(tmp_path):
    summary = written(tmp_path, {"xyxy": [[0, 0, 202, 9]], "points": [[[0, 0, 0], [3, 120, 1], [3, 4, 2]]]})
    assert summary.num_warnings == 1
    [line] = summary.warnings
    assert line.startswith("sample 0, field 'xyxy': x 202, y 9 ") and "; field 'points': x 3, y 120 is" in line
