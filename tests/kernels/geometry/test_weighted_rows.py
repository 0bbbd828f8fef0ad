import numpy as np
import pytest

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.geometry.weighted_rows import even_taps, weighted_pixels, weighted_rows


@kernel("void(float32[::1], int64[::1], float32[:, ::1], int64, uint8[:, ::1], int64, int64)")
def rows_8(rows, first, weights, num_taps, target, row_step, target_step):
    weighted_rows(rows, first, weights, num_taps, target, row_step, target_step)


@kernel("void(float64[::1], int64[::1], float64[:, ::1], int64, uint16[:, ::1], int64, int64)")
def rows_16(rows, first, weights, num_taps, target, row_step, target_step):
    weighted_rows(rows, first, weights, num_taps, target, row_step, target_step)


@kernel("void(float32[::1], int64[::1], float32[:, ::1], int64, int64, float32[::1])")
def pixels_of(row, first, weights, num_taps, channels, target):
    weighted_pixels(row, first, weights, num_taps, channels, target)


@kernel("int64(int64[::1], int64[::1], float32[:, ::1], int64)")
def evened(first, count, weights, stop):
    return even_taps(first, count, weights, stop)


@pytest.mark.parametrize("num_taps", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("width", [1, 2, 9])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("num_rows", [1, 2])
def test_rows_are_the_rounded_sums_and_nothing_behind_them_is_written(num_rows, num_taps, width, bits):
    run, real, whole = (rows_8, np.float32, np.uint8) if bits == 8 else (rows_16, np.float64, np.uint16)
    random = np.random.default_rng(num_taps)
    pixels = random.integers(0, 2**bits, (num_rows, 20, 3)).astype(real)
    rows = np.full((num_rows, 61), np.nan, dtype=real)  # the value behind the last pixel counts for nothing
    rows[:, :60] = pixels.reshape(num_rows, 60)
    first = random.integers(0, 20 - num_taps + 1, width)
    first[-1] = 20 - num_taps
    weights = random.random((width, num_taps + 1)).astype(real)
    weights /= weights[:, :num_taps].sum(1, keepdims=True)
    buffer = np.full((num_rows, width + 2, 3), 77, dtype=whole)
    steps = (61, 3 * (width + 2)) if num_rows == 2 else (0, 0)
    run(rows.reshape(-1), first, weights, num_taps, buffer[0, 1:-1], *steps)
    for row in range(num_rows):
        for o in range(width):
            total = np.full(3, 0.5, dtype=real)
            for t in range(num_taps):
                total = total + weights[o, t] * pixels[row, first[o] + t]
            assert np.array_equal(buffer[row, 1 + o], total.astype(whole))
    assert (buffer[:, [0, -1]] == 77).all()


@pytest.mark.parametrize("num_taps", [1, 2, 5])
@pytest.mark.parametrize("channels", [*range(1, 10), 13, 16, 31])
def test_pixels_of_any_number_of_channels_are_sums_in_the_order_of_the_taps(channels, num_taps):
    random = np.random.default_rng(channels)
    row, first = random.normal(size=(20, channels)).astype(np.float32), random.integers(0, 20 - num_taps + 1, 9)
    first[-1] = 20 - num_taps
    weights = random.random((9, num_taps + 1)).astype(np.float32)
    expected = weights[:, :1] * row[first]
    for t in range(1, num_taps):
        expected = expected + weights[:, t : t + 1] * row[first + t]
    buffer = np.full(11 * channels, 77, dtype=np.float32)
    pixels_of(row.reshape(-1), first, weights, num_taps, channels, buffer[channels:-channels])
    assert np.array_equal(buffer[channels:-channels], expected.reshape(-1))
    assert (buffer[:channels] == 77).all() and (buffer[-channels:] == 77).all()


def test_even_taps_give_the_same_sums_within_the_row():
    random = np.random.default_rng(0)
    for _ in range(200):
        stop = int(random.integers(1, 12))
        count = random.integers(0, stop + 1, 6)
        first = np.where(count > 0, random.integers(0, stop - count + 1), 0)
        weights = np.zeros((6, 12), dtype=np.float32)
        for o in range(6):
            weights[o, : count[o]] = random.random(count[o])
        row = random.random(stop)
        expected = [weights[o, : count[o]] @ row[first[o] : first[o] + count[o]] for o in range(6)]
        num_taps = evened(first, count, weights, stop)
        assert num_taps == max(1, count.max())
        assert (first >= 0).all() and (first + num_taps <= stop).all()
        assert np.allclose([weights[o, :num_taps] @ row[first[o] : first[o] + num_taps] for o in range(6)], expected)
