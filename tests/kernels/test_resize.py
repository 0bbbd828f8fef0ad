import cv2
import numpy as np
import pytest

from ffcv_hydra.kernels.compilation import kernel
from ffcv_hydra.kernels.resize import resize_crop


@kernel("void(uint8[::1], int64, int64[::1], uint8[:, :, ::1])")
def resize(source, width, box, target):
    resize_crop(source, 0, width, box[0], box[1], box[2], box[3], target)


def resized(image: np.ndarray, box: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    target = np.empty((*size, 3), dtype=np.uint8)
    resize(image.reshape(-1), image.shape[1], np.array(box), target)
    return target


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def difference(ours: np.ndarray, theirs: np.ndarray) -> int:
    return int(np.abs(ours.astype(int) - theirs).max())


@pytest.mark.parametrize("box", [(0, 0, 90, 120), (5, 7, 64, 100), (20, 30, 33, 41)])
@pytest.mark.parametrize("size", [(32, 32), (20, 33), (1, 1), (33, 41)])
def test_shrinking_equals_opencvs_area_average_within_one_level(box, size):
    top, left, height, width = box
    source = image(90, 120)
    crop = np.ascontiguousarray(source[top : top + height, left : left + width])
    assert difference(resized(source, box, size), cv2.resize(crop, size[::-1], interpolation=cv2.INTER_AREA)) <= 1


@pytest.mark.parametrize("size", [(64, 64), (45, 32), (100, 300)])
def test_growing_equals_opencvs_bilinear_within_one_level(size):
    source = image(31, 29)
    theirs = cv2.resize(source, size[::-1], interpolation=cv2.INTER_LINEAR)
    assert difference(resized(source, (0, 0, 31, 29), size), theirs) <= 1


def test_a_crop_of_the_output_size_is_copied():
    source = image(50, 60)
    assert np.array_equal(resized(source, (3, 4, 20, 30), (20, 30)), source[3:23, 4:34])


def test_a_single_pixel_fills_the_output():
    source = image(5, 5)
    assert (resized(source, (2, 3, 1, 1), (7, 9)) == source[2, 3]).all()


@pytest.mark.parametrize("level", [0, 1, 254, 255])
@pytest.mark.parametrize("size", [(3, 3), (17, 90)])
def test_an_even_surface_stays_even(level, size):
    source = np.full((40, 50, 3), level, dtype=np.uint8)
    assert (resized(source, (0, 0, 40, 50), size) == level).all()
