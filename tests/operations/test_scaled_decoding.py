"""JPEGs that are at least twice as large as what is made of them are decoded at a fraction of their size."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from ffcv_hydra.beton import write_beton
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, RandomResizedCrop, Resize, WholeImage
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


@pytest.mark.parametrize("size", [[213, 320], [106, 160], [53, 80], [100, 100]])
def test_the_outcome_is_close_to_that_of_the_whole(photos, size):
    for image, whole in zip(load(photos, Resize(size))[0], load(photos, WholeImage())[0], strict=True):
        expected = cv2.resize(whole, size[::-1], interpolation=cv2.INTER_AREA).astype(int)
        # the frequencies that are left out make another filter: here area and bilinear differ by up to 2.8 on average
        assert 0 < np.abs(image - expected).mean() < 4


def test_parts_are_where_they_are_in_the_whole(photos):
    whole = load(photos, WholeImage())[0]
    found = load(photos, CenterCrop(64, 0.5))[0].astype(int)  # 213 x 213 from (107, 213) on

    def distance(top, left):
        boxes = (image[top : top + 213, left : left + 213] for image in whole)
        return np.abs(found - [cv2.resize(box, (64, 64), interpolation=cv2.INTER_AREA) for box in boxes]).mean()

    assert distance(107, 213) < min(distance(*corner) for corner in ((106, 213), (108, 213), (107, 212), (107, 214)))


def test_crops_just_below_twice_the_output_are_decoded_whole(photos):
    for image, whole in zip(load(photos, Resize([214, 320]))[0], load(photos, WholeImage())[0], strict=True):
        expected = cv2.resize(whole, (320, 214), interpolation=cv2.INTER_AREA)
        assert np.abs(image.astype(int) - expected).max() <= 1


def test_a_view_does_not_depend_on_what_scale_the_others_are_decoded_at(photos):
    def views():
        return FieldPipeline([RandomResizedCrop(40, scale=[0.05, 1.0])], source="image", views=6)

    alone = load(photos, Resize([20, 20]), views=views())[1]
    beside = load(photos, Resize([400, 400]), views=views(), other=FieldPipeline([CenterCrop(150)], source="image"))[1]
    assert all(np.array_equal(one, other) for one, other in zip(alone, beside, strict=True))
