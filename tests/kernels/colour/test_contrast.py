import numpy as np
import pytest
from torchvision.transforms.v2 import functional as F

from ffcv_hydra.kernels.images.changes import change_contrast, change_hue, change_saturation, take_colour
from tests.kernels.changing import changed

FACTORS = [0, 0.3, 0.77, 1, 1.3, 2.5]
TURNS = [-0.5, -0.3, -0.1, 0, 0.05, 0.25, 0.5]


@pytest.mark.parametrize(
    "change, reference, factors, share",
    [
        (change_contrast, F.adjust_contrast, FACTORS, 1e-3),
        (change_saturation, F.adjust_saturation, FACTORS, 2e-2),  # at factors like 0.3 many values are integers
        (change_hue, F.adjust_hue, TURNS, 1e-3),
    ],
)
def test_pixels_are_torchvisions_within_a_level_and_nearly_all_equal(
    pictures, as_torchvision, change, reference, factors, share
):
    different = total = 0
    for picture in pictures:
        for factor in factors:
            error = np.abs(changed(change, picture, factor).astype(int) - as_torchvision(reference, picture, factor))
            assert error.max() <= 1
            different, total = different + np.count_nonzero(error), total + error.size
    assert different < share * total  # a float32 sum just below an integer, where ours is just above, or the reverse


def test_grey_is_torchvisions(pictures, as_torchvision):
    for picture in pictures:
        assert np.array_equal(
            changed(take_colour, picture), as_torchvision(F.rgb_to_grayscale, picture, picture.shape[2])
        )


def test_grey_is_exact_for_a_lattice_of_colours_with_all_greens():
    values = np.arange(256, dtype=np.uint8)
    source = np.stack(np.meshgrid(values[::3], values, values[::5], indexing="ij"), axis=-1).reshape(256, -1, 3)
    expected = source.astype(np.int64) @ [2989, 5870, 1140] // 10_000
    assert np.array_equal(changed(take_colour, source), np.repeat(expected[..., None], 3, axis=-1))


def test_turning_by_nothing_and_factors_of_one_change_nothing(pictures):
    for picture in pictures:
        for change, neutral in ((change_contrast, 1.0), (change_saturation, 1.0), (change_hue, 0.0)):
            assert np.array_equal(changed(change, picture, neutral), picture)


def test_turning_by_thirds_moves_channels_and_by_a_half_exchanges_their_ends():
    values = np.arange(256, dtype=np.uint8)
    source = np.stack(np.meshgrid(values[::3], values[::7], values[::5], indexing="ij"), axis=-1).reshape(1, -1, 3)
    opposite = source.max(-1, keepdims=True) - source + source.min(-1, keepdims=True)
    for thirds in (-1, 1):
        assert np.array_equal(changed(change_hue, source, thirds / 3), np.roll(source, thirds, axis=-1))
        assert np.array_equal(changed(change_hue, source, thirds / 2), opposite)
        assert np.array_equal(changed(change_hue, source, thirds / 6), np.roll(opposite, -thirds, axis=-1))


@pytest.mark.parametrize("factor", [5, 63.9, 127.9, 128, 200, 1000])
def test_saturation_by_large_factors_is_torchvisions_within_a_level(pictures, as_torchvision, factor):
    for picture in pictures:
        expected = as_torchvision(F.adjust_saturation, picture, factor)
        assert np.abs(changed(change_saturation, picture, factor).astype(int) - expected).max() <= 1
