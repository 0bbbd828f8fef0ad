import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

from ffcv_hydra import Loader
from ffcv_hydra.beton import (
    BFloat16TensorField,
    MaskField,
    RandomAccessImageField,
    TextField,
    infer_fields,
    write_beton,
)
from ffcv_hydra.beton.fields.array_fields import NDArrayField, TorchTensorField
from ffcv_hydra.beton.fields.bytes_fields import BytesField, JSONField
from ffcv_hydra.beton.fields.inference import infer_field
from ffcv_hydra.beton.fields.options import resolve_fields
from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField
from ffcv_hydra.errors import ConversionError

IMAGE = Image.new("RGB", (4, 4))


@pytest.mark.parametrize(
    ("value", "field_class"),
    [
        (IMAGE, RandomAccessImageField),
        (3, IntField),
        (True, IntField),
        (np.int64(3), IntField),
        (np.bool_(True), IntField),
        (np.array(3), IntField),
        (torch.tensor(3), IntField),
        (1.5, FloatField),
        (np.float32(1.5), FloatField),
        (np.array(1.5), FloatField),
        (torch.tensor(1.5), FloatField),
        (np.zeros(3, np.uint8), BytesField),
        (np.zeros((3, 2), np.uint8), NDArrayField),
        (np.zeros(3, np.float32), NDArrayField),
        ({"a": 1}, JSONField),
        ("text", TextField),
        ("", TextField),
        (torch.zeros(3, dtype=torch.uint8), TorchTensorField),
        (torch.zeros(3, dtype=torch.float16), TorchTensorField),
        (torch.zeros(3, dtype=torch.bfloat16), BFloat16TensorField),
    ],
)
def test_each_type_of_item_gets_its_field(value, field_class):
    (field,) = infer_fields((value,)).values()
    assert type(field) is field_class


@pytest.mark.parametrize("name", ["mask", "masks", "gt_mask", "Lung_Masks"])
@pytest.mark.parametrize("mode", ["L", "P", "1", "I", "I;16"])
def test_a_mask_by_its_name_is_stored_as_one(name, mode):
    assert type(infer_fields((Image.new(mode, (4, 4)),), [name])[name]) is MaskField
    assert type(resolve_fields((Image.new(mode, (4, 4)),), {name: None})[name]) is MaskField


def test_a_mask_of_colours_is_stored_without_loss_unless_options_say_otherwise():
    assert resolve_fields((IMAGE,), {"mask": None})["mask"].write_mode == "raw"
    assert resolve_fields((IMAGE,), {"mask": {"max_resolution": 2}})["mask"].write_mode == "raw"
    assert resolve_fields((IMAGE,), {"mask": {"write_mode": "jpg"}})["mask"].write_mode == "jpg"


@pytest.mark.parametrize("name", ["label", "food_labels"])
def test_a_label_of_many_colours_is_a_photograph(name):
    photo = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    modes = {kind: infer_field(value, name, "here").write_mode for kind, value in (("photo", photo), ("flat", IMAGE))}
    assert modes == {"photo": "jpg", "flat": "raw"}
    assert infer_field(photo, "mask", "here").write_mode == "raw"
    assert type(infer_field(photo.convert("L"), name, "here")) is MaskField


@pytest.mark.parametrize("names", [["unmasked"], ["mask_photo"], None])
def test_other_images_of_one_channel_are_images(names):
    (field,) = infer_fields((Image.new("L", (4, 4)),), names).values()
    assert (type(field), field.write_mode) == (RandomAccessImageField, "jpg")


def test_ids_of_a_mask_by_its_name_come_back(tmp_path):
    ids = np.random.default_rng(0).integers(0, 5, (20, 30), np.uint8)
    item = (Image.new("RGB", (30, 20)), Image.fromarray(ids))
    write_beton([item] * 2, tmp_path / "a.beton", {"image": None, "mask": None}, num_workers=0)
    _, masks = next(iter(Loader(tmp_path / "a.beton", 2, num_workers=1)))
    assert np.array_equal(np.asarray(masks)[..., 0], np.stack([ids, ids]))


def test_images_are_stored_as_jpeg():
    assert infer_fields((IMAGE,))["image"].write_mode == "jpg"


def test_arrays_keep_dtype_and_shape():
    field = infer_fields((np.zeros((2, 3), np.float16),))["array"]
    assert field.dtype == np.float16
    assert field.shape == (2, 3)


def test_default_names_are_kinds_with_numbers_when_repeated():
    assert list(infer_fields((IMAGE, 1, IMAGE, 2, 3, {}))) == ["image", "int", "image_2", "int_2", "int_3", "json"]


@pytest.mark.parametrize(("kind", "ours"), [("XYXY", "xyxy"), ("XYWH", "xywh"), ("CXCYWH", "cxcywh")])
def test_torchvisions_boxes_are_boxes_of_their_format(kind, ours):
    boxes = tv_tensors.BoundingBoxes([[1, 2, 3, 4]], format=kind, canvas_size=(9, 9))
    assert infer_fields((boxes,))["boxes"].parameters() == {"format": ours}


def test_torchvisions_rotated_boxes_are_refused():
    if not hasattr(tv_tensors.BoundingBoxFormat, "XYWHR"):
        pytest.skip("this torchvision has none")
    boxes = tv_tensors.BoundingBoxes([[1.0, 2, 3, 4, 5]], format="XYWHR", canvas_size=(9, 9))
    with pytest.raises(ConversionError, match=r"sample 0, item 0: cannot store boxes of format xywhr; use xyxy, xywh"):
        infer_fields((boxes,))


@pytest.mark.parametrize(("shape", "num_points"), [((3, 2), 1), ((3, 5, 2), 5)])
def test_torchvisions_points_are_groups(shape, num_points):
    if not hasattr(tv_tensors, "KeyPoints"):
        pytest.skip("this torchvision has none")
    points = tv_tensors.KeyPoints(torch.zeros(shape), canvas_size=(9, 9))
    assert infer_fields((points,))["keypoints"].parameters() == {"num_points": num_points}


def test_names_can_be_given():
    assert list(infer_fields((IMAGE, 1), ["photo", "label"])) == ["photo", "label"]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["x" * 17], "has 17 characters"),
        (["größe"], "ASCII"),
        ([""], "ASCII"),
        (["a\0b"], "ASCII"),
        (["a", "b"], "2 field names"),
    ],
)
def test_W8_names_that_ffcv_would_cut_or_lose_are_refused(names, text):
    with pytest.raises(ConversionError, match=text):
        infer_fields((1,), names)


def test_W8_duplicate_names_are_refused():
    with pytest.raises(ConversionError, match="'a' is used twice"):
        infer_fields((1, 2), ["a", "a"])


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        None,
        [1, 2],
        (1, 2),
        1j,
        np.array(["text"]),
        np.array([None]),
        np.zeros(3, [("a", "f4"), ("b", "f4")]),
        np.zeros((0, 3)),
        np.array(1j),
        torch.zeros(3, dtype=torch.float8_e5m2),
        torch.zeros(0),
    ],
)
def test_what_cannot_be_stored_is_named_with_its_place(value):
    with pytest.raises(ConversionError, match="sample 7, item 1: ") as caught:
        infer_fields((1, value), index=7)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("item", [np.zeros(3), [1, 2], {"a": 1}, 5, None, ()])
def test_W3_an_item_that_is_no_tuple_is_refused(item):
    with pytest.raises(ConversionError, match="sample 7: .*tuple"):
        infer_fields(item, index=7)


def test_custom_classes_are_called_after_themselves():
    class WaveformField(IntField):
        pass

    assert WaveformField().label == "waveform"
