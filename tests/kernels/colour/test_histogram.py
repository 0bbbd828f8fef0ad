import numpy as np
import pytest
from torchvision.transforms.v2 import functional as F

from ffcv_hydra.kernels.colour.histogram import equalize_chosen, stretch_chosen


@pytest.mark.parametrize("kernel, reference", [(equalize_chosen, F.equalize), (stretch_chosen, F.autocontrast)])
def test_pixels_are_torchvisions_to_the_bit(pictures, as_torchvision, kernel, reference):
    for picture in pictures:
        source = np.stack([picture, picture])
        target = np.empty_like(source)
        kernel(np.array([False, True]), source, target)
        assert np.array_equal(target[0], picture)
        assert np.array_equal(target[1], as_torchvision(reference, picture))
