import numpy as np
import pytest

from ffcv_hydra.kernels.random.draws import draw_chosen
from ffcv_hydra.kernels.random.generator import fold, key_of

KEYS = fold(key_of(3), np.arange(50_000, dtype=np.uint64))


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_samples_are_chosen_with_the_probability(p):
    chosen = np.empty(len(KEYS), dtype=np.bool_)
    draw_chosen(KEYS, p, chosen)
    assert abs(chosen.mean() - p) <= 5 * np.sqrt(p * (1 - p) / len(KEYS))
