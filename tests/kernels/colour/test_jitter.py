import itertools

import numpy as np
from scipy import stats
from torchvision.transforms.v2 import functional as F

from ffcv_hydra.kernels.colour.jitter import draw_jitter, jitter
from ffcv_hydra.kernels.random.generator import fold, key_of

KEYS = fold(key_of(5), np.arange(48_000, dtype=np.uint64))
RANGES = np.array([[0.6, 1.4], [0.2, 1.1], [0.0, 2.0], [-0.1, 0.3]])
REFERENCES = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)


def drawn() -> tuple[np.ndarray, np.ndarray]:
    factors, orders = np.empty((len(KEYS), 4)), np.empty((len(KEYS), 4), dtype=np.int64)
    draw_jitter(KEYS, RANGES, factors, orders)
    return factors, orders


def test_factors_are_uniform_in_their_ranges_and_independent():
    factors, _ = drawn()
    for (low, high), values in zip(RANGES, factors.T, strict=True):
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-4
    assert np.abs(np.corrcoef(factors.T) - np.eye(4)).max() < 0.02


def test_all_24_orders_are_equally_likely():
    _, orders = drawn()
    found, counts = np.unique(orders, axis=0, return_counts=True)
    assert [tuple(order) for order in found] == list(itertools.permutations(range(4)))
    assert stats.chisquare(counts).pvalue > 1e-4


def test_changes_are_made_in_their_order_as_torchvision_makes_them(pictures, as_torchvision):
    for picture in pictures:
        for order in itertools.permutations(range(4)):
            factors = np.array([[1.3, 0.6, 1.5, 0.1]])
            target = np.empty_like(picture[None])
            jitter(np.ones(1, dtype=np.bool_), factors, np.array([order]), picture[None], target)
            expected = picture
            for change in order:
                expected = as_torchvision(REFERENCES[change], expected, factors[0, change])
            # each change cuts to bytes, may be off by one, and stretches what came before by up to 1.5
            error = np.abs(target[0].astype(int) - expected)
            assert error.max() <= 5 and np.count_nonzero(error) <= 0.01 * error.size


def test_nothing_is_changed_without_a_choice_or_by_neutral_factors(pictures):
    source = np.stack([pictures[0], pictures[0]])
    target = np.empty_like(source)
    factors = np.array([[0.5, 0.5, 0.5, 0.5], [1, 1, 1, 0]])
    jitter(np.array([False, True]), factors, np.array([[0, 1, 2, 3]] * 2), source, target)
    assert np.array_equal(target, source)
