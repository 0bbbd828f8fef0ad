import numpy as np
import pytest
from torchvision.transforms.v2 import functional as F

from ffcv_hydra.kernels.colour.tones import change_brightness, posterize_chosen, solarize_chosen

YES = np.ones(1, dtype=np.bool_)


@pytest.mark.parametrize("factor", [0, 0.3, 0.77, 1, 1.3, 2.5])
def test_brightness_is_torchvisions_to_the_bit(pictures, as_torchvision, factor):
    for picture in pictures:
        target = np.empty_like(picture[None])
        change_brightness(YES, np.array([factor], dtype=float), picture[None], target)
        assert np.array_equal(target[0], as_torchvision(F.adjust_brightness, picture, factor))


@pytest.mark.parametrize("threshold", [0.0, 1.0, 100.5, 128.0, 255.0])
def test_solarize_is_torchvisions_to_the_bit(pictures, as_torchvision, threshold):
    for picture in pictures:
        target = np.empty_like(picture[None])
        solarize_chosen(YES, threshold, picture[None], target)
        assert np.array_equal(target[0], as_torchvision(F.solarize, picture, threshold))
        if threshold == 0:
            assert np.array_equal(target[0], as_torchvision(F.invert, picture))


@pytest.mark.parametrize("bits", range(9))
def test_posterize_is_torchvisions_to_the_bit(pictures, as_torchvision, bits):
    for picture in pictures:
        target = np.empty_like(picture[None])
        posterize_chosen(YES, bits, picture[None], target)
        assert np.array_equal(target[0], as_torchvision(F.posterize, picture, bits))


def test_each_image_has_its_own_factor_and_those_not_chosen_are_copied(pictures):
    source = np.stack([pictures[2]] * 3)
    target = np.empty_like(source)
    change_brightness(np.array([True, False, True]), np.array([0.0, 0.0, 0.5]), source, target)
    assert not target[0].any() and np.array_equal(target[1], source[1]) and np.array_equal(target[2], source[2] // 2)
