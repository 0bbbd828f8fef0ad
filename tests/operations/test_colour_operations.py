"""What all transforms of colours and tones have in common, and the distributions of what they draw."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from ffcv_hydra.beton import MaskField
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.random.generator import fold, key_of
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import (
    CenterCrop,
    Chunk,
    ChunkOperation,
    ColorJitter,
    GaussianBlur,
    Mixup,
    RandAugment,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomBrightness,
    RandomContrast,
    RandomEqualize,
    RandomGrayscale,
    RandomHue,
    RandomInvert,
    RandomPosterize,
    RandomSaturation,
    RandomSolarize,
    TrivialAugmentWide,
)
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.randomly_applied import RandomlyApplied
from ffcv_hydra.operations.to_tensor import ToTensor

WITH_PROBABILITY: list[Callable[[float], ChunkOperation]] = [
    lambda p: RandomBrightness(0.5, p),
    lambda p: RandomContrast(0.5, p),
    lambda p: RandomSaturation(0.9, p),
    lambda p: RandomHue(0.5, p),
    lambda p: ColorJitter(0.4, [0.5, 0.9], 0.4, 0.1, p=p),
    lambda p: RandomGrayscale(p),
    lambda p: RandomSolarize(128, p),
    lambda p: RandomInvert(p),
    lambda p: RandomPosterize(3, p),
    lambda p: RandomEqualize(p),
    lambda p: RandomAutocontrast(p),
    lambda p: RandomAdjustSharpness(2, p),
    lambda p: GaussianBlur([5, 3], [0.5, 2], p),
]
ALL = [make(0.5) for make in WITH_PROBABILITY] + [RandAugment(2, 9), TrivialAugmentWide()]

ONLY = {"array": "disabled"}


def named(operation: ChunkOperation) -> str:
    return type(operation).__name__


def run(operation: ChunkOperation, source: np.ndarray, seed: int = 0, start: int = 0) -> np.ndarray:
    samples = np.arange(start, start + len(source))
    target = np.empty_like(source)
    operation.run(source, target, Chunk(samples, fold(key_of(seed), samples.astype(np.uint64)), Scratch()))
    return target


def images(count: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(20, 230, (count, 20, 21, channels), dtype=np.uint8)


@pytest.mark.parametrize("operation", ALL, ids=named)
@pytest.mark.parametrize("channels", [1, 3])
def test_T2_T8_results_depend_on_the_keys_alone_and_the_source_is_left_as_it_is(operation, channels):
    source = images(40, channels)
    kept = source.copy()
    whole = run(operation, source)
    parts = [run(operation, np.ascontiguousarray(source[i : i + 7]), start=i) for i in range(0, 40, 7)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert np.array_equal(source, kept)
    without_colour = isinstance(operation, RandomSaturation | RandomHue | RandomGrayscale) and channels == 1
    assert np.array_equal(whole, source) == without_colour
    assert np.array_equal(whole, run(operation, source, seed=1)) == without_colour


@pytest.mark.parametrize("make", WITH_PROBABILITY, ids=lambda make: named(make(0)))
def test_images_are_changed_with_the_probability(make):
    source = images(3000)
    assert np.array_equal(run(make(0.0), source), source)
    assert (run(make(1.0), source) != source).any(axis=(1, 2, 3)).mean() > 0.98  # a factor may be close to 1
    changed = (run(make(0.3), source) != source).any(axis=(1, 2, 3)).mean()
    assert abs(changed - 0.3) < 0.05


@pytest.mark.parametrize("make", WITH_PROBABILITY, ids=lambda make: named(make(0)))
def test_whether_an_image_is_changed_says_nothing_about_how(make):
    source = np.repeat(images(1), 3000, axis=0)
    all_changed = run(make(1.0), source)
    chosen = (run(make(0.5), source) == all_changed).all(axis=(1, 2, 3))
    direction = np.random.default_rng(3).normal(size=source[0].size)
    change = all_changed.reshape(3000, -1) @ direction
    assert stats.ks_2samp(change[chosen], change[~chosen]).pvalue > 1e-4


@pytest.mark.timeout(120)
def test_T8_the_same_seed_gives_the_same_batches_through_the_loader(beton):
    def epoch(seed: int, **options) -> list[torch.Tensor]:
        pipeline = [CenterCrop([33, 35], 1.0), *ALL, ToTensor()]
        return [images for images, _ in Loader(beton, seed=seed, pipelines={"image": pipeline, **ONLY}, **options)]

    first = torch.cat(epoch(0, batch_size=16, num_workers=1))
    assert torch.equal(first, torch.cat(epoch(0, batch_size=16, num_workers=2)))
    assert torch.equal(first, torch.cat(epoch(0, batch_size=7, num_workers=2)))
    changed = (first != torch.cat(epoch(1, batch_size=16))).flatten(1).any(1)
    assert changed.float().mean() > 0.95


def one_pixel(*channels: int, count: int = 30_000) -> np.ndarray:
    return np.tile(np.array(channels, dtype=np.uint8), (count, 1, 1, 1))


def assert_uniform(values: np.ndarray, low: float, high: float, step: float) -> None:
    """`values` were cut to multiples of `step`; spread over it they are uniform."""
    spread = values + step * np.random.default_rng(2).random(len(values))
    assert stats.kstest(spread, stats.uniform(low, high - low).cdf).pvalue > 1e-4


@pytest.mark.parametrize("magnitude, low, high", [(0.5, 0.5, 1.5), (1.4, 0, 2.4)])
def test_brightness_factors_are_uniform(magnitude, low, high):
    assert_uniform(run(RandomBrightness(magnitude, 1.0), one_pixel(100))[:, 0, 0, 0] / 100, low, high, 0.01)


def test_contrast_factors_are_uniform():
    source = np.concatenate([one_pixel(60), one_pixel(200)], axis=2)  # mean 130
    assert_uniform((run(RandomContrast(0.5, 1.0), source)[:, 0, 1, 0] - 130) / 70.0, 0.5, 1.5, 1 / 70)


def test_saturation_factors_are_uniform():
    grey = int(0.2989 * 180 + 0.587 * 90 + 0.114 * 90)
    values = run(RandomSaturation(0.5, 1.0), one_pixel(180, 90, 90))[:, 0, 0, 0].astype(float)
    assert_uniform((values - grey) / (180 - grey), 0.5, 1.5, 1 / (180 - grey))


def test_hue_turns_are_uniform_to_both_sides():
    pixels = run(RandomHue(1 / 6, 1.0), one_pixel(250, 0, 0))[:, 0, 0].astype(float)
    assert (pixels[:, 0] == 250).all()  # red stays the largest for a sixth of the circle on both sides
    towards_green, towards_blue = pixels[:, 1] > 0, pixels[:, 2] > 0
    assert abs(towards_green.mean() - 0.5) < 0.02 and abs(towards_blue.mean() - 0.5) < 0.02
    for values in (pixels[towards_green, 1], pixels[towards_blue, 2]):
        assert abs(values.mean() - 125.5) < 3 and values.max() >= 249
        assert stats.kstest(values / 250, stats.uniform().cdf).statistic < 0.02


def test_blur_sigmas_are_uniform():
    source = np.zeros((5000, 1, 41, 1), dtype=np.uint8)
    source[:, 0, 20] = 255
    peaks = run(GaussianBlur([41, 1], [1.0, 3.0]), source)[:, 0, 20, 0]
    sigmas = 255 / np.sqrt(2 * np.pi) / peaks  # values are bytes: to within 2 %
    assert stats.kstest(sigmas, stats.uniform(1, 2).cdf).statistic < 0.03


def test_jitter_takes_numbers_and_ranges_as_torchvision():
    jitter = ColorJitter(0.4, [0.2, 1.1], 1.5, 0.2)
    assert (jitter.brightness, jitter.contrast, jitter.saturation) == ((0.6, 1.4), (0.2, 1.1), (0.0, 2.5))
    assert jitter.hue == (-0.2, 0.2) and ColorJitter(hue=[-0.1, 0.3]).hue == (-0.1, 0.3)
    source = images(20)
    assert np.array_equal(run(ColorJitter(), source), source)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: RandomBrightness(-0.1), "RandomBrightness: magnitude is a number, at least 0; got -0.1"),
        (lambda: RandomContrast("0.5"), "RandomContrast: magnitude is a number, at least 0; got 0.5"),
        (lambda: RandomSaturation(0.5, 1.5), "RandomSaturation: p is a number, at least 0, at most 1; got 1.5"),
        (lambda: RandomHue(0.6), "RandomHue: magnitude is a number, at least 0, at most 0.5; got 0.6"),
        (lambda: RandomGrayscale(float("nan")), "RandomGrayscale: p is a number, at least 0, at most 1; got nan"),
        (lambda: RandomSolarize(256), "RandomSolarize: threshold is a number, at least 0, at most 255; got 256"),
        (lambda: RandomPosterize(9), "RandomPosterize: bits is an integer, at least 0, at most 8; got 9"),
        (lambda: RandomPosterize(2.5), "RandomPosterize: bits is an integer, at least 0, at most 8; got 2.5"),
        (lambda: RandomAdjustSharpness(None), "RandomAdjustSharpness: sharpness_factor is a number, at least 0"),
        (lambda: GaussianBlur(4), "GaussianBlur: kernel_size is an odd number of pixels or .*; got 4"),
        (lambda: GaussianBlur([3, 5, 7]), "GaussianBlur: kernel_size is"),
        (lambda: GaussianBlur(3, 0), "GaussianBlur: sigma is .smallest, largest., above 0; got .0, 0."),
        (lambda: GaussianBlur(3, [2, 1]), "GaussianBlur: sigma is .smallest, largest., above 0; got .2, 1."),
        (lambda: ColorJitter(brightness=-1), "ColorJitter: brightness is a number, at least 0; got -1"),
        (
            lambda: ColorJitter(hue=[-0.6, 0]),
            "ColorJitter: hue is .smallest, largest., at least -0.5, at most 0.5; got .-0.6, 0.",
        ),
        (lambda: ColorJitter(contrast=[1]), "ColorJitter: contrast is a list of 2 numbers; got .1."),
        (lambda: RandAugment(num_ops=-1), "RandAugment: num_ops is an integer, at least 0; got -1"),
        (lambda: RandAugment(magnitude=31), "RandAugment: magnitude is an integer, at least 0, at most 30; got 31"),
        (lambda: TrivialAugmentWide(1), "TrivialAugmentWide: num_magnitude_bins is an integer, at least 2; got 1"),
        (lambda: RandAugment(fill="black"), "RandAugment: fill is .*; got black"),
    ],
)
def test_impossible_arguments_are_named(make, message):
    with pytest.raises(PipelineError, match=message):
        make()


def declare(operation: ChunkOperation, shape: tuple[int, ...], dtype: str = "u1") -> None:
    state = State(True, torch.device("cpu"), shape, np.dtype(dtype))
    after, memory = operation.declare_state_and_memory(state)
    assert after.shape == memory.shape == shape and after.dtype == memory.dtype == np.dtype(dtype)


@pytest.mark.parametrize("operation", ALL, ids=named)
def test_only_images_that_it_is_meant_for_are_taken(operation):
    for channels in (1, 3):
        declare(operation, (20, 21, channels))
    others = [((20, 21, 4), "u1"), ((20, 21, 3), "f4"), ((20, 21, 1), "u2")]
    takes_any = isinstance(operation, (RandomBrightness, RandomContrast, GaussianBlur))
    for shape, dtype in others if takes_any else []:
        declare(operation, shape, dtype)
    for shape, dtype in [((20, 21), "u1"), ((20, 21, 3), "f8"), *([] if takes_any else others)]:
        with pytest.raises(PipelineError, match="takes images") as caught:
            declare(operation, shape, dtype)
        assert ("take images of any channels" in str(caught.value)) == (shape[2:] == (4,))


@pytest.mark.parametrize("operation", [*ALL[:-2], Mixup()], ids=named)
def test_classes_of_masks_are_not_changed(operation):
    on_mask = copy.copy(operation)
    on_mask.accept_field(MaskField())
    with pytest.raises(PipelineError, match="changes values, and those of masks are numbers of classes: leave it out"):
        declare(on_mask, (20, 21, 1))


def test_windows_that_do_not_fit_into_the_image_are_refused():
    declare(GaussianBlur([9, 5]), (3, 5, 3))
    for size in ([11, 5], [9, 7]):
        with pytest.raises(PipelineError, match="a window of .* is too large for images of 5 x 3"):
            declare(GaussianBlur(size), (3, 5, 3))


def test_a_class_that_names_no_change_is_told_so():
    class Former(RandomlyApplied):
        def apply(self, chosen, keys, source, target):
            pass

    with pytest.raises(PipelineError, match="its class names no change, a kernel for one image"):
        Former(p=0.5).image_functions((4, 4, 3), np.dtype(np.uint8))
