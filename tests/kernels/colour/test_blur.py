import numpy as np
import pytest
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
    assert different <= 0.001 * total
