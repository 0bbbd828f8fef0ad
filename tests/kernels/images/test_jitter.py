import itertools
from collections.abc import Sequence

import numpy as np
from scipy import stats
from torchvision.transforms.v2 import functional as F

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.images.changes import change_brightness, change_contrast, change_hue, change_saturation
from ffcv_hydra.kernels.images.jitter import draw_jitter, jitter
from ffcv_hydra.kernels.random.generator import fold, key_of

KEYS = fold(key_of(5), np.arange(48_000, dtype=np.uint64))
RANGES = np.array([[0.6, 1.4], [0.2, 1.1], [0.0, 2.0], [-0.1, 0.3]])
REFERENCES = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
CHANGES = (change_brightness, change_contrast, change_saturation, change_hue)


@kernel("void(uint64[::1], float64[::1], float64[:, ::1], int64[:, ::1])")
def draw(keys, ranges, factors, orders):
    for n in range(len(keys)):
        draw_jitter(keys[n], ranges, factors[n], orders[n])


@kernel("int64(int64[::1], float64[::1], int64[::1], int64, int64, int64)")
def apply(changes, factors, order, source, target, sizes):
    return jitter(changes, factors, order, source, target, sizes)


def jittered(picture: np.ndarray, factors: list[float], order: Sequence[int]) -> np.ndarray:
    target, sizes = np.zeros_like(picture), np.array(picture.shape)
    addresses = np.array([change.address for change in CHANGES])
    found = apply(
        addresses, np.array(factors), np.array(order), picture.ctypes.data, target.ctypes.data, sizes.ctypes.data
    )
    assert found in (0, picture.ctypes.data)
    return target if found == 0 else picture


def drawn() -> tuple[np.ndarray, np.ndarray]:
    factors, orders = np.empty((len(KEYS), 4)), np.empty((len(KEYS), 4), dtype=np.int64)
    draw(KEYS, RANGES.ravel(), factors, orders)
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
            factors = [1.3, 0.6, 1.5, 0.1]
            found = jittered(picture, factors, order)
            expected = picture
            for change in order:
                expected = as_torchvision(REFERENCES[change], expected, factors[change])
            # each change cuts to bytes, may be off by one, and stretches what came before by up to 1.5
            error = np.abs(found.astype(int) - expected)
            assert error.max() <= 5 and np.count_nonzero(error) <= 0.01 * error.size


def test_neutral_factors_leave_the_image_where_it_is(pictures):
    assert jittered(pictures[0], [1.0, 1.0, 1.0, 0.0], [3, 1, 2, 0]) is pictures[0]
