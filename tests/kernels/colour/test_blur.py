import numpy as np
import pytest
from scipy import ndimage
from torchvision.transforms.v2 import functional as F

from ffcv_hydra.kernels.images.changes import blur
from tests.kernels.changing import changed


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1, 2, 9])
@pytest.mark.parametrize("height, width", [(1, 1), (3, 3), (3, 7), (9, 1), (23, 23)])
def test_pixels_are_torchvisions_within_a_level_and_nearly_all_equal(pictures, as_torchvision, sigma, height, width):
    different = total = 0
    for picture in pictures:
        if height // 2 >= picture.shape[0] or width // 2 >= picture.shape[1]:
            continue
        found = changed(blur, picture, sigma, further=(height, width))
        error = np.abs(found.astype(int) - as_torchvision(F.gaussian_blur, picture, [width, height], [sigma] * 2))
        assert error.max() <= 1
        different, total = different + np.count_nonzero(error), total + error.size
    assert different <= 0.01 * total


@pytest.mark.parametrize("sigma", [0.3, 1, 2.5, 40])
def test_sums_are_an_eighth_of_a_level_off_at_most(pictures, sigma):
    worst = 0.0
    for picture in pictures:
        radius = min(11, *(side - 1 for side in picture.shape[:2]))
        taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
        exact = picture.astype(float)
        for axis in (0, 1):
            exact = ndimage.convolve1d(exact, taps / taps.sum(), axis=axis, mode="mirror")
        found = changed(blur, picture, sigma, further=(2 * radius + 1,) * 2)
        worst = max(worst, abs(found - exact).max())
    assert worst <= 0.5 + 0.125


@pytest.mark.parametrize("level", [0, 1, 77, 254, 255])
def test_flat_images_stay_as_they_are(level):
    picture = np.full((30, 41, 3), level, dtype=np.uint8)
    for sigma in (0.1, 0.4, 1, 3, 50):
        assert np.array_equal(changed(blur, picture, sigma, further=(23, 23)), picture)


def test_weights_of_large_windows_do_not_pass_one():
    picture = np.full((401, 3, 1), 200, dtype=np.uint8)
    for size in (571, 801):
        assert np.abs(changed(blur, picture, 1e6, further=(size, 1)).astype(int) - picture).max() <= 1
