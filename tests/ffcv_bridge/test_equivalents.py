"""What FFCV's operations are replaced with does the same."""

import numpy as np
import pytest
import torch
from ffcv import transforms

from ffcv_hydra import operations
from ffcv_hydra.ffcv_bridge.equivalents import equivalent_of
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, ToTensor
from tests.kernels.changing import changed

SQUARE = np.full((4, 4, 3), 9.0), np.full((4, 4), 0.5)
REPLACED = [
    transforms.Convert(torch.float16),
    transforms.Cutout(3, (1, 2, 3)),
    transforms.NormalizeImage(np.zeros(3), np.ones(3), np.float16),
    transforms.RandomBrightness(0.3, 0.4),
    transforms.RandomContrast(0.3, 0.4),
    transforms.RandomHorizontalFlip(0.3),
    transforms.RandomSaturation(0.3, 0.4),
    transforms.RandomTranslate(3, (1, 2, 3)),
    transforms.Squeeze(1),
    transforms.ToDevice("cpu"),
    transforms.ToTorchImage(False),
]
KEPT = [
    transforms.ImageMixup(0.5, True),
    transforms.LabelMixup(0.5, True),
    transforms.MixupToOneHot(3),
    transforms.NormalizeImage(np.zeros(3), np.ones(3), np.float64),
    transforms.Poison(*SQUARE, indices=[1]),
    transforms.RandomResizedCrop((0.5, 1.0), (1.0, 1.0), 8),
    transforms.ReplaceLabel([3], 5),
    transforms.ToTensor(),
    transforms.View(torch.int8),
]


@pytest.mark.parametrize("operation", REPLACED, ids=lambda operation: type(operation).__name__)
def test_replaced_by_the_operation_of_that_name_with_its_arguments(operation):
    ours = equivalent_of(operation, [])
    assert type(ours) is getattr(operations, type(operation).__name__)
    for name in ("magnitude", "crop_size", "padding", "channels_last", "non_blocking"):
        assert getattr(ours, name, None) == getattr(operation, name, None)
    assert list(getattr(ours, "fill", ())) == list(getattr(operation, "fill", ()))


@pytest.mark.parametrize("operation", KEPT, ids=lambda operation: type(operation).__name__)
def test_kept_as_it_is(operation):
    assert equivalent_of(operation, []) is None


def test_subclasses_are_kept():
    class Mine(transforms.Cutout):
        pass

    operation = Mine(3)
    assert equivalent_of(operation, []) is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_normalised_tensors_have_what_ffcvs_table_has(dtype, noise):
    normalize = transforms.NormalizeImage(np.array([120.5, 110, 100]), np.array([60.5, 50, 40]), dtype)
    expected = normalize.lookup_table.view(dtype)[noise, [0, 1, 2]]
    images = torch.from_numpy(noise).permute(0, 3, 1, 2)
    found = equivalent_of(normalize, [ToTensor()]).generate_code()(images, None)
    assert np.array_equal(found.permute(0, 2, 3, 1).numpy(), expected)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("is_reference", [False, True], ids=["fused", "alone"])
def test_a_pipeline_that_normalises_on_the_device_is_read_without_one(beton, is_reference):
    normalize = transforms.NormalizeImage(np.array([120.5, 110, 100]), np.array([60.5, 50, 40]), np.float16)
    first = [CenterCrop(16), transforms.ToTensor(), transforms.ToDevice(torch.device("cpu")), transforms.ToTorchImage()]
    between = [torch.nn.Identity()] if is_reference else []
    found, levels = (
        next(iter(Loader(beton, 8, pipelines={"image": [*first, *more]})))[0] for more in ([*between, normalize], [])
    )
    table = torch.from_numpy(normalize.lookup_table.view("f2"))
    expected = torch.stack([table[levels[:, c].int(), c] for c in range(3)], 1)
    assert torch.equal(found, expected)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_normalised_images_are_bit_for_bit_ffcvs(dtype, beton):
    normalize = transforms.NormalizeImage(np.array([120.5, 110, 100]), np.array([60.5, 50, 40]), dtype)
    pipelines = {"image": [CenterCrop(16), normalize, transforms.ToTensor(), transforms.ToTorchImage()]}
    ours, theirs = (
        next(iter(Loader(beton, 8, pipelines=pipelines, replace_ffcv_operations=replace)))[0]
        for replace in (True, False)
    )
    assert ours.dtype == theirs.dtype and torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "mean, std, dtype",
    [(100, -50, np.float32), (0, 1e-3, np.float16), (0, 1e12, np.float16), (0, 0, np.float32)],
    ids=["negative", "overflows", "equal ends", "zero"],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's of FFCV's table
def test_normalisations_without_a_usual_std_do_what_their_table_says(mean, std, dtype):
    normalize = transforms.NormalizeImage(np.full(3, mean), np.full(3, std), dtype)
    ours = equivalent_of(normalize, [])
    assert ours.table.dtype == dtype and ours.table.tobytes() == normalize.lookup_table.tobytes()
    assert ours.as_normalization() is None


def test_mean_and_std_of_ffcvs_are_known():
    normalize = transforms.NormalizeImage(np.full(3, 120), np.full(3, 60), np.float32)
    mean, std = equivalent_of(normalize, []).as_normalization()
    assert np.allclose(mean, 120) and np.allclose(std, 60)


@pytest.mark.parametrize("name", ["RandomBrightness", "RandomContrast", "RandomSaturation"])
def test_colours_are_within_a_level_of_ffcvs(name, noise, monkeypatch):
    factors = np.random.default_rng(1).uniform(0.2, 1.8, len(noise))
    monkeypatch.setattr(np.random, "uniform", lambda *_: factors)
    monkeypatch.setattr(np.random, "rand", lambda count: np.zeros(count))
    expected = getattr(transforms, name)(0.8).generate_code()(noise.copy())
    change = getattr(operations, name).change
    found = np.stack([changed(change, image, factor) for image, factor in zip(noise, factors, strict=True)])
    assert not np.array_equal(found, noise) and abs(found.astype(int) - expected).max() <= 1
