import numpy as np
import pytest
from torchvision.transforms.v2 import functional as F

from ffcv_hydra.kernels.images.changes import change_sharpness
from tests.kernels.changing import changed


@pytest.mark.parametrize("factor", [0, 0.3, 1, 1.4, 2, 5])
def test_pixels_are_torchvisions_within_a_level_and_nearly_all_equal(pictures, as_torchvision, factor):
    different = total = 0
    for picture in pictures:
        found = changed(change_sharpness, picture, factor)
        error = np.abs(found.astype(int) - as_torchvision(F.adjust_sharpness, picture, factor))
        assert error.max() <= 1
        different, total = different + np.count_nonzero(error), total + error.size
    assert different <= 0.005 * total
