import numpy as np
import pytest
from torchvision.transforms.v2 import functional as F

from ffcv_hydra.kernels.images.changes import change_brightness, change_contrast, invert_from, keep_bits
from tests.kernels.changing import changed


@pytest.mark.parametrize("factor", [0, 0.3, 0.77, 1, 1.3, 2.5])
def test_brightness_is_torchvisions_to_the_bit(pictures, as_torchvision, factor):
    for picture in pictures:
        assert np.array_equal(
            changed(change_brightness, picture, factor), as_torchvision(F.adjust_brightness, picture, factor)
        )


@pytest.mark.parametrize("threshold", [0.0, 1.0, 100.5, 128.0, 255.0])
def test_solarize_is_torchvisions_to_the_bit(pictures, as_torchvision, threshold):
    for picture in pictures:
        found = changed(invert_from, picture, threshold)
        assert np.array_equal(found, as_torchvision(F.solarize, picture, threshold))
        if threshold == 0:
            assert np.array_equal(found, as_torchvision(F.invert, picture))


@pytest.mark.parametrize("bits", range(9))
def test_posterize_is_torchvisions_to_the_bit(pictures, as_torchvision, bits):
    for picture in pictures:
        assert np.array_equal(changed(keep_bits, picture, bits), as_torchvision(F.posterize, picture, bits))


def test_blends_are_those_in_float32_for_all_values_and_any_factor():
    values = np.tile(np.arange(256, dtype=np.uint8), 3)[:700].reshape(20, 35, 1)
    random = np.random.default_rng(4)
    drawn = [random.uniform(low, high, 200) for low, high in ((0, 1), (1, 2), (2, 5))]
    factors = [0, 0.52, 1, 1.3, 2, 300, *np.concatenate(drawn)]
    for change, level in ((change_brightness, 0.0), (change_contrast, values.mean())):
        for factor in factors:
            blended = np.float32(factor) * values.astype(np.float32) + np.float32((1 - factor) * level)
            expected = np.clip(blended, 0, 255).astype(np.uint8)
            assert np.array_equal(changed(change, values, factor), expected), factor
