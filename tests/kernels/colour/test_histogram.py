import numpy as np
import pytest
from torchvision.transforms.v2 import functional as F

from ffcv_hydra.kernels.images.changes import flatten_histogram, stretch_histogram
from tests.kernels.changing import changed


@pytest.mark.parametrize("change, reference", [(flatten_histogram, F.equalize), (stretch_histogram, F.autocontrast)])
def test_pixels_are_torchvisions_to_the_bit(pictures, as_torchvision, change, reference):
    for picture in pictures:
        assert np.array_equal(changed(change, picture), as_torchvision(reference, picture))
