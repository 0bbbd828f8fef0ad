import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from ffcv_hydra.operations import RandomAffine, RandomRotation


def by_torchvision(function, images: np.ndarray, *arguments, **options) -> np.ndarray:
    return function(torch.from_numpy(images).permute(0, 3, 1, 2), *arguments, **options).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("degrees", [-123.4, -17, 0, 31.3, 180])
def test_rotation_turns_as_torchvisions(degrees, apply, noise):
    expected = by_torchvision(functional.rotate, noise, degrees, InterpolationMode.NEAREST, fill=9)
    assert (apply(RandomRotation([degrees, degrees], fill=9), noise) != expected).any(3).mean() <= 1e-3
    expected = by_torchvision(functional.rotate, noise, degrees, InterpolationMode.BILINEAR)
    found = apply(RandomRotation([degrees, degrees], "bilinear"), noise)
    assert abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("degrees, scale, shear", [(20, 0.8, [11, 11, -7, -7]), (-75, 1.7, [-30, -30]), (5, 1, None)])
def test_affine_maps_as_torchvisions(degrees, scale, shear, apply, noise):
    shears = [0, 0] if shear is None else [shear[0], shear[2] if len(shear) == 4 else 0]
    arguments = degrees, [0, 0], scale, shears
    operation = [degrees, degrees], None, [scale, scale], shear
    expected = by_torchvision(functional.affine, noise, *arguments, InterpolationMode.NEAREST, fill=9)
    assert (apply(RandomAffine(*operation, fill=9), noise) != expected).any(3).mean() <= 1e-3
    expected = by_torchvision(functional.affine, noise, *arguments, InterpolationMode.BILINEAR)
    found = apply(RandomAffine(*operation, "bilinear"), noise)
    assert abs(found.astype(int) - expected).max() <= 1


def test_shifts_are_distributed_as_torchvisions(apply):
    width = 30
    image = np.broadcast_to(np.arange(1, width + 1, dtype=np.uint8)[None, :, None], (4_000, 8, width, 1)).copy()
    ours = (width // 2 + 1) - apply(RandomAffine(0, [0.2, 0]), image)[:, 0, width // 2, 0].astype(int)
    transform, tensor = v2.RandomAffine(0, (0.2, 0)), torch.empty(1, 8, width)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = np.array([transform.make_params([tensor])["translate"][0] for _ in range(len(ours))])
    assert ours.min() == theirs.min() == -6 and ours.max() == theirs.max() == 6
    counts = [np.bincount(shifts + 6, minlength=13) for shifts in (ours, theirs)]
    assert stats.chi2_contingency(counts).pvalue > 0.001


def test_a_number_of_degrees_goes_both_ways(apply):
    assert RandomRotation(30).degrees == RandomAffine(30).degrees == (-30.0, 30.0)
    assert RandomAffine(0, shear=5).shear == (-5.0, 5.0, 0.0, 0.0)
    assert RandomAffine(0, shear=[1, 2, 3, 4]).shear == (1.0, 2.0, 3.0, 4.0)
