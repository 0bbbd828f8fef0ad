"""Which fields are said to ruin a mask; and no others."""

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import GrayscaleImageField, MaskField, RandomAccessImageField, write_beton
from ffcv_hydra.beton.fields.image_array_field import ImageArrayField
from ffcv_hydra.beton.fields.lossy_masks import lossy_masks
from ffcv_hydra.datasets import Digits

Y, X = np.mgrid[:48, :64]
PHOTO = (40 + 2 * X + 3 * Y % 7).astype(np.uint8)
PICTURE = Image.fromarray(np.stack([PHOTO, PHOTO[::-1], PHOTO], -1))
DISC = ((X - 30) ** 2 + (Y - 20) ** 2 < 200).astype(np.uint8)
DIGIT = Image.fromarray(DISC * PHOTO)  # many levels, on black


def named(*images, names=("image", "target"), fields=None):
    """What is told of fields that store JPEGs."""
    return lossy_masks(fields or dict.fromkeys(names, GrayscaleImageField()), images)


@pytest.mark.parametrize(
    "mask",
    [DISC * 3, DISC * 255, DISC[..., None], DISC.astype(bool), DISC.astype(np.int32), Image.fromarray(DISC * 3),
     Image.fromarray(DISC * 3).convert("P"), Image.fromarray(DISC * 255).convert("1"), np.where(DISC, 255, X // 16)],
    ids=lambda mask: f"{getattr(mask, 'mode', '')}{getattr(mask, 'dtype', '')}",
)  # fmt: skip
def test_few_small_numbers_in_areas_are_a_mask_beside_a_picture(mask):
    assert named(PICTURE, mask) == ["target"]


@pytest.mark.parametrize("image", [PHOTO, DIGIT, PICTURE, DISC * 0, PHOTO % 3, np.float32(DISC)])
def test_pictures_digits_and_noise_are_none(image):
    assert named(PICTURE, image) == []


def test_a_drawing_alone_and_a_pair_of_them_are_none():
    assert named(DISC * 255, names=("image",)) == []
    assert named(DISC * 255, DISC * 255) == []


@pytest.mark.parametrize("name", ["mask", "gt_seg", "label", "Segmentation"])
def test_a_name_says_it(name):
    assert named(PICTURE, PHOTO, names=("image", name)) == [name]
    assert named(PICTURE, PHOTO, fields={"image": RandomAccessImageField("jpg"), name: RandomAccessImageField()}) == []


@pytest.mark.parametrize("photo", [PICTURE, np.asarray(PICTURE)], ids=["image", "array"])
def test_a_photograph_of_a_label_is_none(photo):
    fields = {"image": RandomAccessImageField("jpg"), "label": RandomAccessImageField("jpg")}
    assert named(PICTURE, photo, fields=fields) == []
    drawn = Image.fromarray(DISC * 3).convert("RGB")
    assert named(PICTURE, drawn, fields=fields) == ["label"]


@pytest.mark.parametrize("field", [MaskField(), GrayscaleImageField("raw"), ImageArrayField(1, "uint8")])
def test_fields_that_keep_every_number_are_not_told_of(field):
    assert named(PICTURE, DISC, fields={"image": RandomAccessImageField("jpg"), "mask": field}) == []


def test_the_bundled_digits_are_no_masks():
    digits = Digits("train")
    assert not any(named(PICTURE, digits[index][0].convert("L")) for index in range(50))


def test_a_conversion_tells_once(tmp_path, caplog):
    fields = {"image": None, "target": GrayscaleImageField()}
    write_beton([(PICTURE, DISC * 3)] * 3, tmp_path / "a.beton", fields, num_workers=0)
    assert [record.message.split(" holds")[0] for record in caplog.records] == ["field 'target'"]
