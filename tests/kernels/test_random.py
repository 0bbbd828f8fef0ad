import numpy as np

from ffcv_hydra.kernels.compilation import kernel
from ffcv_hydra.kernels.random import fold, key_of, key_of_name, randint, uniform


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
