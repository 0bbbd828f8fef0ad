import numpy as np
import pytest
import torch
from ffcv.fields import BytesField, FloatField, IntField, JSONField, NDArrayField, TorchTensorField
from PIL import Image

from ffcv_hydra.beton import BFloat16TensorField, RandomAccessImageField, TextField, infer_fields, kind_of
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


def test_images_are_stored_as_jpeg():
    assert infer_fields((IMAGE,))["image"].write_mode == "jpg"


def test_arrays_keep_dtype_and_shape():
    field = infer_fields((np.zeros((2, 3), np.float16),))["array"]
    assert field.dtype == np.float16
    assert field.shape == (2, 3)


def test_default_names_are_kinds_with_numbers_when_repeated():
    assert list(infer_fields((IMAGE, 1, IMAGE, 2, 3, {}))) == ["image", "int", "image_2", "int_2", "int_3", "json"]


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

    assert kind_of(WaveformField()) == "waveform"
