import numpy as np
import pytest
from scipy import stats

from ffcv_hydra.kernels.images.mix import draw_weights
from ffcv_hydra.kernels.random.generator import fold, key_of


def weights(alpha: float, count: int = 50_000) -> np.ndarray:
    drawn = np.empty(count)
    draw_weights(fold(key_of(5), np.arange(count, dtype=np.uint64)), alpha, drawn)
    return drawn


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.4, 1.0, 2.5, 40.0])
def test_weights_follow_the_beta_distribution(alpha):
    drawn = weights(alpha)
    below, above = drawn[drawn < 0.5], drawn[drawn >= 0.5]  # shares next to 1 round to it; those next to 0 do not
    assert stats.binomtest(len(below), len(drawn)).pvalue > 0.001
    assert stats.kstest(below, lambda w: 2 * stats.beta(alpha, alpha).cdf(w)).pvalue > 0.001
    assert stats.ks_2samp(below, 1 - above).pvalue > 0.001 or alpha < 0.2
    assert abs(drawn.mean() - 0.5) < 0.01
    assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)


@pytest.mark.parametrize("alpha", [1e-308, 1e-10, 1e-3, 1e6, 1e300])
def test_extreme_shapes_give_shares_all_the_same(alpha):
    drawn = weights(alpha, 2_000)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert abs(drawn.mean() - 0.5) < 0.05
    assert (np.minimum(drawn, 1 - drawn).mean() < 0.01) == (alpha < 1)
