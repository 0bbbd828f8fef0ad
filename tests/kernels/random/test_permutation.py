import itertools
import math

import numpy as np
import pytest
from scipy import stats

from ffcv_hydra.kernels.random.generator import key_of
from ffcv_hydra.kernels.random.permutation import permuted

LEAST = 1e-6  # a p-value below it is no accident; the keys are always the same
MANY = 10**6


def whole(count: int, *key: int) -> np.ndarray:
    return permuted(key_of(*key), count, np.arange(count))


@pytest.mark.parametrize("counts", [range(301), [1024, 1025, 65_535, 2**20 + 1, MANY]], ids=["small", "large"])
def test_every_number_comes_once_for_any_count(counts):
    for count in counts:
        assert (np.bincount(whole(count, count), minlength=count) == 1).all() and len(whole(count, count)) == count


@pytest.mark.parametrize("count", [1, 2, 300, 1000, MANY, 2**63])
def test_any_positions_in_any_order_give_what_each_gives_alone(count):
    positions = np.random.default_rng(count % 97).integers(count, size=700)  # more than are done at once
    positions[-2:] = 0, count - 1
    together = permuted(key_of(4), count, positions)
    alone = [permuted(key_of(4), count, positions[n : n + 1]).item() for n in range(len(positions))]
    assert together.tolist() == alone
    assert together.min() >= 0 and together.max() < count
    assert len(np.unique(together)) == len(np.unique(positions))


@pytest.mark.parametrize("count", range(1, 6))
def test_few_numbers_come_in_all_orders_and_in_each_equally_often(count):
    counted = dict.fromkeys(itertools.permutations(range(count)), 0)
    for key in range(100 * 120):
        counted[tuple(whole(count, 9, key).tolist())] += 1  # KeyError: no permutation
    assert min(counted.values()) > 0
    assert count == 1 or stats.chisquare(list(counted.values())).pvalue > LEAST


@pytest.mark.parametrize("count", [9, 16, 20, 25])
def test_odd_permutations_come_as_often_as_even_ones(count):
    signs = [np.linalg.det(np.eye(count)[whole(count, key)]) for key in range(2_000)]
    assert abs(sum(signs)) < 5 * math.sqrt(len(signs))


@pytest.mark.parametrize("count", [6, 50, 97])
def test_each_number_comes_at_each_position_equally_often(count):
    orders = np.stack([whole(count, 1, key) for key in range(4_000)])
    for position in range(count):
        assert stats.chisquare(np.bincount(orders[:, position], minlength=count)).pvalue > LEAST


@pytest.mark.parametrize("position", [0, 1, 999, 1000, 1001, MANY // 2, MANY - 1])
def test_what_is_at_a_position_of_many_is_uniform_over_keys(position):
    found = [permuted(key_of(2, key), MANY, np.array([position])).item() for key in range(20_000)]
    assert stats.kstest(np.array(found) / MANY, "uniform").pvalue > LEAST
    last_digits = np.bincount(np.array(found) % 1000 // 10, minlength=100)
    assert stats.chisquare(last_digits).pvalue > LEAST


@pytest.mark.parametrize("distance", [1, 2, 999, 1000, 1001, 500_000])
def test_numbers_at_a_distance_are_independent(distance):
    order = whole(MANY, 5)
    one, other = order[:-distance], order[distance:]
    table = np.histogram2d(one, other, bins=50, range=[[0, MANY]] * 2)[0]
    assert stats.chi2_contingency(table).pvalue > LEAST
    assert stats.chi2_contingency(np.histogram2d(one % 1000, other % 1000, bins=50)[0]).pvalue > LEAST
    assert abs(np.corrcoef(one, other)[0, 1]) < 5 / math.sqrt(len(one))


def test_orders_of_neighbouring_keys_have_nothing_in_common():
    count, keys = 10_000, [(seed, epoch) for seed in (0, 1, 2**64 - 1) for epoch in range(50)]
    orders = [whole(count, *key) for key in keys]
    pairs = list(itertools.combinations(orders, 2))[:: len(keys) // 5]
    agreements = sum(int((one == other).sum()) for one, other in pairs)  # one per pair is expected
    assert abs(agreements - len(pairs)) < 5 * math.sqrt(len(pairs))
    correlations = [np.corrcoef(one, other)[0, 1] for one, other in pairs]
    assert stats.kstest(np.array(correlations) * math.sqrt(count), "norm").pvalue > LEAST
    fixed = sum(int((order == np.arange(count)).sum()) for order in orders)
    assert abs(fixed - len(orders)) < 5 * math.sqrt(len(orders))


def test_an_order_is_the_same_for_ever():
    assert whole(12, 3, 4).tolist() == [4, 5, 3, 10, 9, 8, 0, 2, 6, 7, 11, 1]
    found = permuted(key_of(3, 4), 10**9, np.array([0, 1, 31_623, 10**9 - 1]))
    assert found.tolist() == [662851473, 713234395, 857392716, 75418701]


@pytest.mark.parametrize("positions", [[-1], [0, 5], [2**40]])
def test_positions_outside_are_refused(positions):
    with pytest.raises(IndexError, match="of an order of 5"):
        permuted(key_of(3), 5, np.array(positions))
