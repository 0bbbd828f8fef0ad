"""JPEGs are decoded at their full size, and at a fraction of it where that is asked for and they are large enough."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from ffcv_hydra.beton import write_beton
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, ImageDecoder, RandomResizedCrop, Resize, WholeImage
from ffcv_hydra.pipeline import FieldPipeline

PHOTOS = load_sample_images().images
pytestmark = pytest.mark.timeout(120)


def as_jpeg(pixels: np.ndarray) -> Image.Image:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "jpeg", quality=90)
    return Image.open(io.BytesIO(buffer.getvalue()))


@pytest.fixture(scope="module", params=[True, False], ids=["indexed", "plain"])
def photos(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "photos.beton"
    options = {"write_mode": "jpg", "random_access": request.param}
    write_beton([(as_jpeg(photo),) for photo in PHOTOS], path, {"image": options}, num_workers=0)
    return path


def load(beton, *operations, **others):
    return next(iter(Loader(beton, 2, pipelines={"image": list(operations), **others}, num_workers=1)))


@pytest.mark.parametrize("factor", [1.0, 1.9, 2, 3, 4.5, 8, 12])
def test_F10_photographs_are_shrunk_by_the_mean_of_what_a_pixel_covers_by_any_factor(photos, factor):
    size = [int(side / factor) for side in PHOTOS[0].shape[:2]]
    for image, whole in zip(load(photos, Resize(size))[0], load(photos, WholeImage())[0], strict=True):
        expected = cv2.resize(whole, size[::-1], interpolation=cv2.INTER_AREA).astype(int)
        assert np.abs(image - expected).max() <= 1


@pytest.mark.parametrize("interpolation, mean, most", [("area", 2.1, 66), ("bilinear", 1.6, 44)])
def test_F10_scaled_decoding_is_as_far_off_as_its_docstring_says(photos, interpolation, mean, most):
    differences = []
    for factor in (2, 2.5, 3, 4, 5, 6, 8, 10, 12, 16):
        size = [int(side / factor) for side in PHOTOS[0].shape[:2]]
        whole, scaled = (load(photos, Resize(size, interpolation, scaled))[0] for scaled in (False, True))
        differences.append(np.abs(whole.astype(int) - scaled))
    assert round(np.mean([each.mean() for each in differences]), 1) == mean
    assert max(each.max() for each in differences) == most
    assert f"{mean}" in str(ImageDecoder.__doc__) and f"{most}" in str(ImageDecoder.__doc__)


def test_parts_are_where_they_are_in_the_whole(photos):
    whole = load(photos, WholeImage())[0]
    found = load(photos, CenterCrop(64, 0.5, scaled_decoding=True))[0].astype(int)  # 213 x 213 from (107, 213) on

    def distance(top, left):
        boxes = (image[top : top + 213, left : left + 213] for image in whole)
        return np.abs(found - [cv2.resize(box, (64, 64), interpolation=cv2.INTER_AREA) for box in boxes]).mean()

    assert distance(107, 213) < min(distance(*corner) for corner in ((106, 213), (108, 213), (107, 212), (107, 214)))


def test_crops_just_below_twice_the_output_are_decoded_whole(photos):
    whole, scaled = (load(photos, Resize([214, 320], scaled_decoding=scaled))[0] for scaled in (False, True))
    assert np.array_equal(whole, scaled)


def test_a_view_does_not_depend_on_what_scale_the_others_are_decoded_at(photos):
    def views():
        return FieldPipeline([RandomResizedCrop(40, scale=[0.05, 1.0], scaled_decoding=True)], source="image", views=6)

    alone = load(photos, Resize([20, 20], scaled_decoding=True), views=views())[1]
    beside = load(photos, Resize([400, 400]), views=views(), other=FieldPipeline([CenterCrop(150)], source="image"))[1]
    assert all(np.array_equal(one, other) for one, other in zip(alone, beside, strict=True))
