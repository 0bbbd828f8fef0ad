import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import RandomAccessImageField, resolve_fields
from ffcv_hydra.beton.fields.array_fields import NDArrayField
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.beton.fields.scalar_fields import FloatField, IntField
from ffcv_hydra.errors import ConversionError

ITEM = (Image.new("RGB", (4, 4)), 1)


def test_without_fields_all_are_inferred():
    assert list(resolve_fields(ITEM)) == ["image", "int"]


def test_a_mapping_names_the_fields_and_none_means_inferred():
    fields = resolve_fields(ITEM, {"photo": None, "label": None})
    assert [type(field) for field in fields.values()] == [RandomAccessImageField, IntField]
    assert list(fields) == ["photo", "label"]


def test_a_sequence_may_mix_fields_options_and_none():
    given = FloatField()
    fields = resolve_fields(ITEM, [{"max_resolution": 256}, given])
    assert fields["image"].max_resolution == 256
    assert fields["float"] is given


def test_options_leave_the_other_defaults_as_they_are():
    field = resolve_fields(ITEM, {"image": {"jpeg_quality": 80}, "label": None})["image"]
    assert (field.jpeg_quality, field.write_mode) == (80, "jpg")


def test_an_unknown_option_names_the_nearest_one():
    with pytest.raises(ConversionError, match=r"field 'image' \(image\): .*'max_res'; did you mean 'max_resolution'"):
        resolve_fields(ITEM, {"image": {"max_res": 256}, "label": None})


def test_kinds_without_options_say_so():
    with pytest.raises(ConversionError, match=r"field 'label' \(int\): unknown option 'bits'; it takes none"):
        resolve_fields(ITEM, {"image": None, "label": {"bits": 8}})


@pytest.mark.parametrize(
    "options",
    [
        {"write_mode": "jpeg"},
        {"background": "white"},
        {"background": [255, 255]},
        {"background": [255, 255, 256]},
        {"background": [1.0, 1.0, 1.0]},
        {"max_resolution": 0},
        {"max_resolution": "large"},
        {"jpeg_quality": 101},
        {"jpeg_quality": "high"},
        {"random_access": "yes"},
    ],
)
def test_impossible_options_name_the_field(options):
    with pytest.raises(ConversionError, match="field 'image'"):
        resolve_fields(ITEM, {"image": options, "label": None})


@pytest.mark.parametrize("spec", [{"write_mode": "smart"}, RGBImageField(write_mode="smart")])
def test_W9_smart_without_a_threshold_is_refused(spec):
    with pytest.raises(ConversionError, match="smart_threshold"):
        resolve_fields(ITEM, {"image": spec, "label": None})


def test_W9_smart_with_a_threshold_is_accepted():
    options = {"write_mode": "smart", "smart_threshold": 100}
    assert resolve_fields(ITEM, {"image": options, "label": None})["image"].write_mode == "smart"


@pytest.mark.parametrize("fields", [[None], {"image": None}, [None] * 3])
def test_W12_a_wrong_number_of_fields_is_refused(fields):
    with pytest.raises(ConversionError, match=r"sample 3: the item has 2 entries, but fields has \d"):
        resolve_fields(ITEM, fields, index=3)


@pytest.mark.parametrize("fields", ["image", 5, [IntField, None]])
def test_fields_of_another_type_are_refused(fields):
    with pytest.raises(ConversionError, match="expected a"):
        resolve_fields(ITEM, fields)


@pytest.mark.parametrize("shape", [(), (3, 0)])
def test_W6_array_fields_that_ffcv_cannot_read_back_are_refused(shape):
    with pytest.raises(ConversionError, match="field 0: FFCV cannot store arrays of shape"):
        resolve_fields((np.zeros(shape),), [NDArrayField(np.dtype("f8"), shape)])


def test_W8_names_in_a_mapping_are_checked():
    with pytest.raises(ConversionError, match="characters"):
        resolve_fields(ITEM, {"image": None, "a_name_that_is_too_long": None})
