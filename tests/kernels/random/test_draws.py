import numpy as np
import pytest
from scipy import stats

from ffcv_hydra.kernels.random.draws import draw_chosen, draw_uniform
from ffcv_hydra.kernels.random.generator import fold, key_of

KEYS = fold(key_of(3), np.arange(50_000, dtype=np.uint64))


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_samples_are_chosen_with_the_probability(p):
    chosen = np.empty(len(KEYS), dtype=np.bool_)
    draw_chosen(KEYS, p, chosen)
    assert abs(chosen.mean() - p) <= 5 * np.sqrt(p * (1 - p) / len(KEYS))


def test_values_are_uniform_in_their_range_and_independent_of_the_choice():
    values, chosen = np.empty(len(KEYS)), np.empty(len(KEYS), dtype=np.bool_)
    draw_uniform(KEYS, 1, -2.0, 3.0, values)
    draw_chosen(KEYS, 0.5, chosen)
    assert stats.kstest(values, stats.uniform(-2, 5).cdf).pvalue > 1e-4
    assert stats.ks_2samp(values[chosen], values[~chosen]).pvalue > 1e-4
