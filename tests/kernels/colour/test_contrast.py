import numpy as np
import pytest
from torchvision.transforms.v2 import functional as F

from ffcv_hydra.kernels.colour.contrast import change_contrast, change_saturation, grey_chosen
from ffcv_hydra.kernels.colour.hue import change_hue

FACTORS = [0, 0.3, 0.77, 1, 1.3, 2.5]
TURNS = [-0.5, -0.3, -0.1, 0, 0.05, 0.25, 0.5]


@pytest.mark.parametrize(
    "kernel, reference, factors, share",
    [
        (change_contrast, F.adjust_contrast, FACTORS, 1e-3),
        (change_saturation, F.adjust_saturation, FACTORS, 1e-2),
        (change_hue, F.adjust_hue, TURNS, 1e-3),
    ],
)
def test_pixels_are_torchvisions_within_a_level_and_nearly_all_equal(
    pictures, as_torchvision, kernel, reference, factors, share
):
    different = total = 0
    for picture in pictures:
        for factor in factors:
            target = np.empty_like(picture[None])
            kernel(np.ones(1, dtype=np.bool_), np.array([factor], dtype=float), picture[None], target)
            error = np.abs(target[0].astype(int) - as_torchvision(reference, picture, factor))
            assert error.max() <= 1
            different, total = different + np.count_nonzero(error), total + error.size
    assert different < share * total  # a float32 sum just below an integer, where ours is just above, or the reverse


def test_grey_is_torchvisions(pictures, as_torchvision):
    for picture in pictures:
        target = np.empty_like(picture[None])
        grey_chosen(np.ones(1, dtype=np.bool_), picture[None], target)
        assert np.array_equal(target[0], as_torchvision(F.rgb_to_grayscale, picture, picture.shape[2]))


def test_grey_is_exact_for_a_lattice_of_colours_with_all_greens():
    values = np.arange(256, dtype=np.uint8)
    source = np.stack(np.meshgrid(values[::3], values, values[::5], indexing="ij"), axis=-1).reshape(1, 256, -1, 3)
    target = np.empty_like(source)
    grey_chosen(np.ones(1, dtype=np.bool_), source, target)
    expected = source.astype(np.int64) @ [2989, 5870, 1140] // 10_000
    assert np.array_equal(target, np.repeat(expected[..., None], 3, axis=-1))


def test_turning_by_nothing_and_factors_of_one_change_nothing(pictures):
    for picture in pictures:
        for kernel, neutral in ((change_contrast, 1.0), (change_saturation, 1.0), (change_hue, 0.0)):
            target = np.empty_like(picture[None])
            kernel(np.ones(1, dtype=np.bool_), np.array([neutral]), picture[None], target)
            assert np.array_equal(target[0], picture)


@pytest.mark.parametrize("kernel", [change_contrast, change_saturation, change_hue])
def test_images_not_chosen_are_copied(pictures, kernel):
    source = np.stack([pictures[2], pictures[2]])
    target = np.empty_like(source)
    kernel(np.array([True, False]), np.array([0.5, 0.5]), source, target)
    assert not np.array_equal(target[0], source[0]) and np.array_equal(target[1], source[1])
