import numpy as np
import pytest
from torchvision.transforms.v2 import functional as F

from ffcv_hydra.kernels.colour.sharpness import sharpen_chosen


@pytest.mark.parametrize("factor", [0, 0.3, 1, 1.4, 2, 5])
def test_pixels_are_torchvisions_within_a_level_and_nearly_all_equal(pictures, as_torchvision, factor):
    different = total = 0
    for picture in pictures:
        source = np.stack([picture, picture])
        target = np.empty_like(source)
        sharpen_chosen(np.array([False, True]), float(factor), source, target)
        assert np.array_equal(target[0], picture)
        error = np.abs(target[1].astype(int) - as_torchvision(F.adjust_sharpness, picture, factor))
        assert error.max() <= 1
        different, total = different + np.count_nonzero(error), total + error.size
    assert different <= 0.005 * total
