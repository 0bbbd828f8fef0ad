import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from ffcv_hydra.beton import (
    Beton,
    BoundingBoxesField,
    KeypointsField,
    PolygonsField,
    RaggedArrayField,
    write_beton,
)
from ffcv_hydra.errors import ConversionError
from ffcv_hydra.loader import Loader

BOXES = [[1.0, 2.0, 3.0, 4.0], [0.0, 0.5, 0.0, 9.0]]


def stored(tmp_path, field, *values):
    """What a file has of one field's values, float32 (n, ...) each."""
    path = tmp_path / "a.beton"
    write_beton([(value,) for value in values], path, {"places": field}, num_workers=0)
    beton, content = Beton(path), path.read_bytes()
    offsets, sizes = beton.extents("places")
    shape = beton.fields["places"].item_shape
    return [
        np.frombuffer(content[offset : offset + size], "<f4").reshape(-1, *shape)
        for offset, size in zip(offsets.tolist(), sizes.tolist(), strict=True)
    ]


def test_boxes_of_any_numbers_are_stored_as_float32(tmp_path):
    values = [
        BOXES, np.array(BOXES), torch.tensor(BOXES, dtype=torch.bfloat16), np.array(BOXES, ">f8"), [], np.zeros(0),
        np.zeros((0, 4), np.int16), torch.tensor([[1, 2, 3, 4]]),
        tv_tensors.BoundingBoxes(BOXES, format="XYXY", canvas_size=(9, 9)),
    ]  # fmt: skip
    found = stored(tmp_path, BoundingBoxesField(), *values)
    expected = [BOXES] * 4 + [np.zeros((0, 4))] * 3 + [BOXES[:1], BOXES]
    assert all(map(np.array_equal, found, expected))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[0, 0, 1, 1], [5, 0, 4, 1]], "box 1 is \\[5.0, 0.0, 4.0, 1.0\\]: x2 < x1 or y2 < y1"),
        ([[0, 3, 1, 1]], "box 0 is .* x2 < x1 or y2 < y1"),
        ([[0, 0, np.nan, 1]], "item 0 is .*nan.* which is not finite; leave it out"),
        ([[0, 0, 1, 1e39]], "item 0 is .* which is not finite"),
        (np.zeros((2, 5)), "expected numbers of shape \\(n, 4\\), got float64 array of shape \\(2, 5\\)"),
        (np.zeros(4), "got float64 array of shape \\(4,\\)"),
        (np.zeros((1, 4), bool), "got bool array"),
        ([[1, 2, 3, 4], [1]], "got lists of different lengths"),
        ("boxes", "got str"),
        (None, "got NoneType"),
    ],
)
def test_what_are_no_boxes_is_refused_with_its_sample(tmp_path, value, message):
    with pytest.raises(ConversionError, match=f"^sample 1, field .places.: .*{message}"):
        stored(tmp_path, BoundingBoxesField(), BOXES, value)


@pytest.mark.parametrize(("format", "wrong"), [("xywh", [1, 2, -1, 4]), ("cxcywh", [1, 2, 3, -4])])
def test_negative_sides_are_refused_in_the_other_formats(tmp_path, format, wrong):
    with pytest.raises(ConversionError, match=f"box 1 is .*: a width or height below 0, as {format} has them"):
        stored(tmp_path, BoundingBoxesField(format), [[5, 5, 1, 1], wrong])


def test_torchvisions_boxes_of_another_format_are_refused(tmp_path):
    value = tv_tensors.BoundingBoxes(BOXES, format="XYWH", canvas_size=(9, 9))
    with pytest.raises(ConversionError, match="expected boxes of format xyxy, got xywh ones"):
        stored(tmp_path, BoundingBoxesField(), value)


def test_points_have_a_visibility_which_is_2_unless_it_is_given(tmp_path):
    given = np.arange(12.0).reshape(2, 2, 3)
    given[..., 2] = [[0, 1], [2, 0]]
    found = stored(tmp_path, KeypointsField(2), given, given[..., :2])
    assert np.array_equal(found[0], given) and np.array_equal(found[1][..., :2], given[..., :2])
    assert (found[1][..., 2] == 2).all()


@pytest.mark.parametrize("shape", [(3, 2), (3, 1, 2), (3, 3), (3, 1, 3)])
def test_single_points_need_no_axis_of_their_own(tmp_path, shape):
    (found,) = stored(tmp_path, KeypointsField(), np.full(shape, 2))
    assert found.tolist() == [[[2, 2, 2]]] * 3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((3, 3, 2)), "expected numbers of shape \\(n, 2, 3\\), got float64 array of shape \\(3, 3, 2\\)"),
        (np.zeros((3, 2)), "expected numbers of shape"),
        ([[[0, 0, 0], [0, 0, 0]], [[0, 0, 1], [0, 0, 3]]], "group 1 has a visibility other than 0 .*, 1 .*, 2"),
        ([[[0, 0, 0], [0, np.inf, 0]]], "item 0 is .* not finite"),
    ],
)
def test_what_are_no_points_is_refused(tmp_path, value, message):
    with pytest.raises(ConversionError, match=f"sample 0, field .places.: .*{message}"):
        stored(tmp_path, KeypointsField(2), value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([0], "num_points is 0; use a number from 1"),
        (["17"], "num_points is '17'"),
        ([3, [[0, 3]]], r"mirrored is \[\[0, 3\]\]; use pairs of numbers from 0 to 2, each once"),
        ([3, [[0, 1], [1, 2]]], "each once"),
        ([3, [[0]]], "use pairs"),
        ([3, 5], "use pairs"),
        ([3, (), 5], "follows is 5; use the name of a field with boxes"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ConversionError, match=f"^KeypointsField: .*{message}"):
        KeypointsField(*arguments)
    with pytest.raises(ConversionError, match="BoundingBoxesField: format is 'yxyx'; use xyxy, xywh, cxcywh"):
        BoundingBoxesField("yxyx")


def test_polygons_are_rows_with_their_number(tmp_path):
    found = stored(tmp_path, PolygonsField(), [[[1, 2], [3, 4], [5, 6]], np.ones((1, 2))], [])
    assert found[0].tolist() == [[0, 1, 2], [0, 3, 4], [0, 5, 6], [1, 1, 1]]
    assert found[1].shape == (0, 3)


def test_polygons_of_boxes_have_their_number_as_well(tmp_path):
    fields = {"boxes": BoundingBoxesField(), "polygons": PolygonsField(follows="boxes")}
    samples = [(np.zeros((3, 4)), [[[(1, 2), (3, 4)], np.ones((1, 2))], [], [[(5, 6)]]]), (np.zeros((0, 4)), [])]
    write_beton(samples, tmp_path / "a.beton", fields, num_workers=0)
    field, ((found, lengths),) = Beton(tmp_path / "a.beton").fields["polygons"], [
        polygons for _, polygons in Loader(tmp_path / "a.beton", 2)
    ]  # fmt: skip
    assert (field.follows, field.description()) == ("boxes", "polygons float32 (n, 4) of boxes")
    assert found[0, :4].tolist() == [[0, 0, 1, 2], [0, 0, 3, 4], [0, 1, 1, 1], [2, 0, 5, 6]]
    assert lengths.tolist() == [4, 0] and not found[1].any()
    for value, message in (
        ([[], []], "2 items, but 'boxes', which it follows, has 3; give one for each"),
        ([[], [], [[(1, 2)], []]], "box 2: polygon 1 has no corners"),
        ([[], [(1, 2)], []], r"box 1: polygon 0: expected numbers of shape \(k, 2\)"),
        (np.zeros((3, 2)), "expected a list of polygons for each box, got float64 array"),
        ([[]] * 65537, "polygons of 65,537 boxes, which can be 65,536 at most; use fewer"),
    ):
        with pytest.raises(ConversionError, match=f"^sample 0, field 'polygons': {message}"):
            write_beton([(samples[0][0], value)], tmp_path / "b.beton", fields, num_workers=0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((3, 2)), "expected a list of arrays of shape \\(k, 2\\), got float64 array"),
        ([np.zeros((3, 2)), np.zeros((3, 3))], "polygon 1: expected numbers of shape"),
        ([np.zeros((3, 2)), []], "polygon 1 has no corners; leave it out"),
    ],
)
def test_what_are_no_polygons_is_refused(tmp_path, value, message):
    with pytest.raises(ConversionError, match=f"sample 0, field .places.: .*{message}"):
        stored(tmp_path, PolygonsField(), value)


FOLLOWERS = {
    "labels": RaggedArrayField("int64", follows="boxes"),
    "boxes": BoundingBoxesField(),
    "points": KeypointsField(2, follows="boxes"),
}


def test_what_follows_has_as_many_items_as_the_boxes(tmp_path):
    samples = [(np.arange(n), np.zeros((n, 4)), np.zeros((n, 2, 3))) for n in (2, 0, 1)]
    write_beton(samples, tmp_path / "a.beton", FOLLOWERS, num_workers=0)
    assert Beton(tmp_path / "a.beton").fields["labels"].follows == "boxes"
    for place, name, count in ((0, "labels", 3), (2, "points", 0)):
        wrong = list(samples[2])
        wrong[place] = wrong[place][[0] * count]
        expected = f"sample 2, field '{name}': {count} items, but 'boxes', which it follows, has 1; give one for each"
        with pytest.raises(ConversionError, match=expected):
            write_beton([*samples[:2], tuple(wrong)], tmp_path / "b.beton", FOLLOWERS, num_workers=0)


@pytest.mark.parametrize(
    ("followed", "advice"),
    [("box", "use one of boxes"), ("labels", "use one of boxes"), ("number", "use one of boxes")],
)
def test_what_follows_no_field_with_items_is_refused(tmp_path, followed, advice):
    fields = {"number": None, "boxes": BoundingBoxesField(), "labels": RaggedArrayField("int64", follows=followed)}
    with pytest.raises(ConversionError, match=f"field 'labels' follows '{followed}', no field with items; {advice}"):
        write_beton([(1, BOXES, np.arange(2))], tmp_path / "a.beton", fields, num_workers=0)
