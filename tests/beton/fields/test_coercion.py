import io

import numpy as np
import pytest
import torch
from PIL import Image

from ffcv_hydra.beton import RandomAccessImageField, coerce
from ffcv_hydra.beton.fields.array_fields import NDArrayField, TorchTensorField
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.bytes_fields import BytesField, JSONField
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField
from ffcv_hydra.errors import ConversionError

ARRAY = NDArrayField(np.dtype("f4"), (4,))
TENSOR = TorchTensorField(torch.float32, (4,))
MODES = ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"]


@pytest.mark.parametrize("mode", MODES)
def test_W4_images_of_every_mode_without_alpha_become_rgb(mode):
    image = coerce(RGBImageField(), Image.new(mode, (5, 3)))
    assert (image.dtype, image.shape) == (np.uint8, (3, 5, 3))


def test_W4_gray_levels_are_kept():
    levels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert np.array_equal(coerce(RGBImageField(), Image.fromarray(levels)), np.stack([levels] * 3, axis=2))


MODES_WITHOUT_A_RANGE = ["I", "F", "I;16", "I;16L", "I;16B"]


@pytest.mark.parametrize("mode", MODES_WITHOUT_A_RANGE)
def test_F3_F4_images_of_more_than_8_bits_are_refused_whatever_their_values(mode):
    with pytest.raises(ConversionError, match=rf"^the image is of mode {mode}, .*scale it to 0\.\.255"):
        coerce(RGBImageField(), Image.new(mode, (5, 3)))


def opened_png(image, **options):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return Image.open(file)


def with_palette_alpha():
    image = Image.new("P", (5, 3))
    image.putpalette([10, 20, 30, 0] * 256, "RGBA")
    return image


TRANSPARENT = {
    "LA": Image.new("LA", (5, 3)),
    "La": Image.new("La", (5, 3)),
    "PA": Image.new("PA", (5, 3)),
    "RGBA": Image.new("RGBA", (5, 3), (0, 0, 0, 254)),
    "RGBa": Image.new("RGBa", (5, 3)),
    "palette with alpha": with_palette_alpha(),
    "palette with a transparent entry": opened_png(Image.new("P", (5, 3)), transparency=0),
    "gray with a transparent level": opened_png(Image.new("L", (5, 3)), transparency=0),
    "two levels, one transparent": opened_png(Image.new("1", (5, 3)), transparency=0),
    "RGB with a transparent colour": opened_png(Image.new("RGB", (5, 3)), transparency=(0, 0, 0)),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_F4_transparent_pixels_need_a_background(name):
    with pytest.raises(ConversionError, match=r"has transparent pixels .*background, such as \[255, 255, 255\]"):
        coerce(RGBImageField(), TRANSPARENT[name])
    field = RandomAccessImageField("jpg", background=[250, 40, 3])
    expected = [1, 0, 0] if name == "RGBA" else [250, 40, 3]  # nearly opaque black
    assert coerce(field, TRANSPARENT[name])[0, 0].tolist() == expected


OPAQUE = {
    "LA": Image.new("LA", (5, 3), (7, 255)),
    "RGBA": Image.new("RGBA", (5, 3), (7, 7, 7, 255)),
    "a transparent level that no pixel has": opened_png(Image.new("L", (5, 3), 7), transparency=0),
    "a transparent entry that no pixel has": opened_png(Image.new("L", (5, 3), 7).convert("P"), transparency=0),
}


@pytest.mark.parametrize("name", OPAQUE)
def test_F4_an_opaque_alpha_channel_is_left_out(name):
    assert coerce(RGBImageField(), OPAQUE[name])[0, 0].tolist() == [7, 7, 7]


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


@pytest.mark.parametrize("value", [{"a": 1, 1: 2}, {"a": {None: 2}}, [{"a": [{2.5: 1}]}]], ids=str)
def test_keys_that_json_would_turn_into_text_are_refused(value):
    with pytest.raises(ConversionError, match=r"the key (1|None|2\.5) is no text, .* use '(1|None|2\.5)' in"):
        coerce(JSONField(), value)


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
