import numpy as np
import pytest
import torch
from ffcv.fields import (
    BytesField,
    Field,
    FloatField,
    IntField,
    JSONField,
    NDArrayField,
    RGBImageField,
    TorchTensorField,
)
from PIL import Image

from ffcv_hydra.beton import coerce
from ffcv_hydra.errors import ConversionError

ARRAY = NDArrayField(np.dtype("f4"), (4,))
TENSOR = TorchTensorField(torch.float32, (4,))
MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16"]


@pytest.mark.parametrize("mode", MODES)
def test_W4_images_of_every_mode_become_rgb(mode):
    image = coerce(RGBImageField(), Image.new(mode, (5, 3)))
    assert (image.dtype, image.shape) == (np.uint8, (3, 5, 3))


def test_W4_gray_levels_are_kept():
    levels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert np.array_equal(coerce(RGBImageField(), Image.fromarray(levels)), np.stack([levels] * 3, axis=2))


def test_W4_palettes_with_transparency_convert_without_a_warning():
    image = Image.new("P", (2, 2))
    image.putpalette([10, 20, 30] * 256)
    image.info["transparency"] = bytes(256)
    assert coerce(RGBImageField(), image)[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("pixels", [np.full((2, 2), 4000, np.uint16), np.full((2, 2), -1.0, np.float32)])
def test_W4_images_that_pil_would_clip_are_refused(pixels):
    with pytest.raises(ConversionError, match=r"mode (I;16|F) with values from .*scale it"):
        coerce(RGBImageField(), Image.fromarray(pixels))


@pytest.mark.parametrize("value", [np.zeros((3, 4), np.uint8), np.zeros((3, 4, 3)), np.zeros((3, 4, 4), np.uint8), 3])
def test_W4_other_values_for_images_are_refused(value):
    with pytest.raises(ConversionError, match="expected a PIL image"):
        coerce(RGBImageField(), value)


@pytest.mark.parametrize("value", [3, np.uint8(3), np.array(3), torch.tensor(3)])
def test_ints_of_all_kinds_are_taken(value):
    assert coerce(IntField(), value) == 3


@pytest.mark.parametrize("value", [3.0, "3", None, 2**63, np.array([3]), torch.tensor(3.0)])
def test_what_is_no_int_is_refused(value):
    with pytest.raises(ConversionError):
        coerce(IntField(), value)


@pytest.mark.parametrize("value", [3, 3.0, np.float16(3), np.array(3.0), torch.tensor(3.0)])
def test_floats_of_all_kinds_are_taken(value):
    assert coerce(FloatField(), value) == 3.0


@pytest.mark.parametrize("value", ["3", None, 3j, np.array([3.0])])
def test_what_is_no_float_is_refused(value):
    with pytest.raises(ConversionError, match="expected a float"):
        coerce(FloatField(), value)


def test_W5_arrays_of_another_dtype_or_shape_are_refused():
    with pytest.raises(
        ConversionError, match=r"expected float32 array of shape \(4,\), got float64 array of shape \(2,\)"
    ):
        coerce(ARRAY, np.zeros(2))
    with pytest.raises(ConversionError, match=r"got float32 array of shape \(4, 1\)"):
        coerce(ARRAY, np.zeros((4, 1), np.float32))
    with pytest.raises(ConversionError, match="got float32 tensor"):
        coerce(ARRAY, torch.zeros(4))


def test_W5_arrays_of_another_byte_order_keep_their_values():
    assert np.array_equal(coerce(ARRAY, np.arange(4, dtype=">f4")), np.arange(4, dtype="<f4"))


def test_W6_zero_dimensional_arrays_are_refused_for_array_fields():
    with pytest.raises(ConversionError, match=r"got float32 array of shape \(\)"):
        coerce(ARRAY, np.array(1, np.float32))


def test_tensors_are_made_contiguous_and_lose_their_graph():
    value = torch.arange(8.0, requires_grad=True)[::2]
    found = coerce(TENSOR, value)
    assert found.is_contiguous()
    assert found.numpy().tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize(
    "value",
    [torch.zeros(3), torch.zeros(4, dtype=torch.float64), np.zeros(4, np.float32), torch.zeros(4, device="meta")],
)
def test_other_tensors_are_refused(value):
    with pytest.raises(ConversionError, match=r"expected float32 tensor of shape \(4,\), got"):
        coerce(TENSOR, value)


@pytest.mark.parametrize("value", [b"abc", np.zeros(3), np.zeros((3, 1), np.uint8)])
def test_bytes_must_be_flat_uint8_arrays(value):
    with pytest.raises(ConversionError, match="expected a 1-D uint8 array"):
        coerce(BytesField(), value)


def test_json_must_be_a_dict():
    assert coerce(JSONField(), {"a": [1]}) == {"a": [1]}
    with pytest.raises(ConversionError, match="expected a dict, got int"):
        coerce(JSONField(), 5)


def test_classes_of_ones_own_get_the_value_untouched():
    class OwnField(RGBImageField):
        pass

    value = object()
    field: Field = OwnField()
    assert coerce(field, value) is value
