import numpy as np
import pytest

from ffcv_hydra.datasets import SplitFraction
from ffcv_hydra.errors import ConfigError


@pytest.mark.parametrize("num_samples", [1, 7, 1000])
def test_adjacent_fractions_are_disjoint_and_together_all(num_samples):
    parts = [SplitFraction(*bounds, seed=3)(num_samples) for bounds in ((0, 0.8), (0.8, 0.9), (0.9, 1))]
    assert sorted(np.concatenate(parts)) == list(range(num_samples))


def test_indices_are_drawn_from_the_seed():
    assert np.array_equal(SplitFraction(0, 0.5, 1)(100), SplitFraction(0, 0.5, 1)(100))
    assert not np.array_equal(SplitFraction(0, 0.5, 1)(100), SplitFraction(0, 0.5, 2)(100))


def test_indices_are_ascending_int64():
    indices = SplitFraction(0.2, 0.5, 1)(100)
    assert indices.dtype == np.int64
    assert len(indices) == 30
    assert np.all(np.diff(indices) > 0)


@pytest.mark.parametrize("bounds", [(-0.1, 0.5), (0.5, 0.5), (0.6, 0.5), (0.5, 1.1)])
def test_impossible_bounds_are_refused(bounds):
    with pytest.raises(ConfigError, match="use 0 <= start < stop <= 1"):
        SplitFraction(*bounds)
