import numpy as np
import pytest
from torchvision.transforms.v2 import functional as F

from ffcv_hydra.kernels.colour.blur import blur_chosen


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1, 2, 9])
@pytest.mark.parametrize("height, width", [(1, 1), (3, 3), (3, 7), (9, 1), (23, 23)])
def test_pixels_are_torchvisions_within_a_level_and_nearly_all_equal(pictures, as_torchvision, sigma, height, width):
    different = total = 0
    for picture in pictures:
        if height // 2 >= picture.shape[0] or width // 2 >= picture.shape[1]:
            continue
        target = np.empty_like(picture[None])
        blur_chosen(np.ones(1, dtype=np.bool_), np.array([sigma], dtype=float), height, width, picture[None], target)
        error = np.abs(target[0].astype(int) - as_torchvision(F.gaussian_blur, picture, [width, height], [sigma] * 2))
        assert error.max() <= 1
        different, total = different + np.count_nonzero(error), total + error.size
    assert different <= 0.001 * total


def test_each_image_has_its_own_sigma_and_those_not_chosen_are_copied(pictures):
    source = np.stack([pictures[2]] * 3)
    target = np.empty_like(source)
    blur_chosen(np.array([True, False, True]), np.array([0.1, 3.0, 3.0]), 9, 9, source, target)
    assert np.array_equal(target[0], source[0]) and np.array_equal(target[1], source[1])
    assert target[2].std() < 0.5 * source[2].std()
