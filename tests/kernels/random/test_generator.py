import numpy as np
import pytest
from scipy import stats

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.random.generator import fold, key_of, key_of_name, randint, uniform


@kernel("void(uint64[::1], int64, float64[::1])")
def draw(keys, number, values):
    for n in range(len(keys)):
        values[n] = uniform(keys[n], number)


@kernel("void(uint64[::1], int64, int64[::1])")
def draw_integers(keys, stop, values):
    for n in range(len(keys)):
        values[n] = randint(keys[n], 0, stop)


def keys(count: int) -> np.ndarray:
    return fold(key_of(7), np.arange(count, dtype=np.uint64))


def test_keys_are_the_same_for_ever():
    assert [hex(key) for key in fold(key_of(1, 2), np.arange(2, dtype=np.uint64))] == [
        "0x37a4fc95f7d56dfd",
        "0xe7674368bdbc094",
    ]
    assert key_of_name("image") == 0x2AB612888528489A


def test_every_part_and_its_place_make_another_key():
    found = {int(key_of(*parts)[0]) for parts in [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (1, 1), (2**64 - 1,)]}
    assert len(found) == 8


def test_many_keys_do_not_collide():
    assert len(np.unique(keys(200_000))) == 200_000


def test_uniform_is_uniform_for_every_draw():
    values = np.empty(100_000)
    for number in (0, 1, 2, 21):
        draw(keys(len(values)), number, values)
        assert values.min() >= 0 and values.max() < 1
        counts = np.histogram(values, bins=64, range=(0, 1))[0]
        expected = len(values) / 64
        assert ((counts - expected) ** 2 / expected).sum() < 120  # chi-square, 63 degrees: p < 1e-5 beyond


def test_draws_of_a_key_and_of_neighbouring_keys_are_uncorrelated():
    first, second = np.empty(100_000), np.empty(100_000)
    draw(keys(len(first)), 0, first)
    draw(keys(len(second)), 1, second)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.015
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.015


def test_randint_reaches_every_value_and_no_other():
    values = np.empty(10_000, dtype=np.int64)
    draw_integers(keys(len(values)), 7, values)
    assert np.unique(values).tolist() == list(range(7))


def mixed_bits(all_keys: np.ndarray) -> np.ndarray:
    """uint64 (N,): the 53 random bits of draw 0."""
    values = np.empty(len(all_keys))
    draw(all_keys, 0, values)
    return (values * 2**53).astype(np.uint64)


def test_every_draw_number_is_uniform_for_keys_that_count_up():
    values = np.empty(20_000)
    found = []
    for number in range(100):
        draw(np.arange(number * 7, number * 7 + len(values), dtype=np.uint64), number, values)
        found.append(stats.kstest(values, "uniform").pvalue)
    assert min(found) > 1e-4
    assert stats.kstest(found, "uniform").pvalue > 0.001  # and so are their p-values: neither too rough nor too even


@pytest.mark.parametrize("step", [0, 1, 2, 31, 32, 33])
def test_pairs_of_draws_and_of_neighbouring_keys_fill_the_square_evenly(step):
    first, second = np.empty(100_000), np.empty(100_000)
    all_keys = keys(len(first) + step)
    draw(all_keys[: len(first)], 0, first)
    draw(all_keys[step:], 1 if step == 0 else 0, second)
    counts = np.histogram2d(first, second, bins=32, range=((0, 1), (0, 1)))[0]
    assert stats.chisquare(counts.reshape(-1)).pvalue > 1e-4


def test_epochs_seeds_and_streams_of_one_sample_are_independent():
    samples = np.arange(50_000, dtype=np.uint64)
    columns = []
    for parts in [(0, 0), (0, 1), (1, 0), (1, 1), (2**40, 0)]:  # seed and epoch
        for stream in (0, 1):
            values = np.empty(len(samples))
            draw(fold(key_of(*parts), samples, stream), 0, values)
            columns.append(values)
    correlations = np.corrcoef(columns) - np.eye(len(columns))
    assert abs(correlations).max() < 0.025  # five standard deviations


def test_avalanche_each_bit_of_a_key_changes_each_bit_of_a_draw_half_of_the_time():
    plain = keys(4_000)
    before = mixed_bits(plain)
    for bit in range(64):
        changed = before ^ mixed_bits(plain ^ np.uint64(1 << bit))
        shares = [((changed >> np.uint64(place)) & np.uint64(1)).mean() for place in range(53)]
        assert min(shares) > 0.45 and max(shares) < 0.55  # six standard deviations


def test_avalanche_each_bit_of_a_part_changes_each_bit_of_the_key_half_of_the_time():
    samples = np.arange(4_000, dtype=np.uint64)
    before = fold(key_of(7), samples)
    for bit in range(64):
        changed = before ^ fold(key_of(7), samples ^ np.uint64(1 << bit))
        shares = [((changed >> np.uint64(place)) & np.uint64(1)).mean() for place in range(64)]
        assert min(shares) > 0.45 and max(shares) < 0.55


@pytest.mark.parametrize("stop", [2, 7, 256, 1000])
def test_randint_is_uniform(stop):
    values = np.empty(100_000, dtype=np.int64)
    draw_integers(keys(len(values)), stop, values)
    assert stats.chisquare(np.bincount(values, minlength=stop)).pvalue > 1e-4
