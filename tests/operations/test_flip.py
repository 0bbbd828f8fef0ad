import numpy as np
import pytest
from scipy import stats

from ffcv_hydra.operations import RandomHorizontalFlip, RandomVerticalFlip


@pytest.mark.parametrize("flip, axis", [(RandomHorizontalFlip, 2), (RandomVerticalFlip, 1)])
def test_flips_with_the_probability_and_exactly(flip, axis, apply, noise):
    assert np.array_equal(apply(flip(1), noise), np.flip(noise, axis))
    assert np.array_equal(apply(flip(0), noise), noise)
    flipped = sum(int((image != before).any()) for image, before in _pairs(flip(0.3), axis, apply, noise))
    assert stats.binomtest(flipped, 20 * len(noise), 0.3).pvalue > 0.001


def _pairs(operation, axis, apply, noise):
    for seed in range(20):
        for image, before in zip(apply(operation, noise, seed), noise, strict=True):
            assert np.array_equal(image, before) or np.array_equal(image, np.flip(before, axis - 1))
            yield image, before


@pytest.mark.parametrize("flip, axis", [(RandomHorizontalFlip, 2), (RandomVerticalFlip, 1)])
def test_images_without_channels_flip(flip, axis, apply, noise):
    flat = noise[..., 0].astype(np.float64)
    assert np.array_equal(apply(flip(1), flat), np.flip(flat, axis))
