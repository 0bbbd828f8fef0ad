import numpy as np
import pytest
import torch

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.preview.pictures import (
    PALETTE,
    as_images,
    as_masks,
    overlay,
    picture,
    shown_channels,
    value_range,
)
from ffcv_hydra.preview.targets import soft_targets


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32, torch.float16, torch.bfloat16])
def test_images_are_found_with_channels_first_or_last(channels, dtype):
    last = torch.arange(2 * 5 * 6 * channels).reshape(2, 5, 6, channels).to(dtype)
    first = last.permute(0, 3, 1, 2).contiguous()
    assert as_images(last).shape == as_images(first).shape == (2, 5, 6, channels)
    assert np.array_equal(as_images(last), as_images(first))


@pytest.mark.parametrize(
    "shape", [(2,), (2, 1), (2, 10), (2, 5, 6), (2, 5, 6, 2), (2, 2, 3, 3), (2, 3, 2, 2), (1, 2, 3, 4, 3)]
)
def test_other_tensors_are_no_images(shape):
    assert as_images(torch.zeros(shape)) is None


@pytest.mark.parametrize("value", ["text", None, {"a": 1}, [torch.zeros(2, 5, 5, 3)], np.array(["a", "b"])])
def test_other_values_are_no_images(value):
    assert as_images(value) is None
    assert as_masks(value) is None


@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 5, 6, 1), (2, 1, 5, 6)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_masks_may_have_an_axis_of_one_channel(shape, dtype):
    ids = torch.arange(60).reshape(2, 5, 6)
    assert np.array_equal(as_masks(ids.reshape(shape).to(dtype)), ids.numpy())


@pytest.mark.parametrize("batch", [torch.zeros(2, 5, 6), torch.zeros(2, 5, 6, 3, dtype=torch.uint8), torch.zeros(2)])
def test_other_tensors_are_no_masks(batch):
    assert as_masks(batch) is None


def test_bytes_and_unit_floats_are_shown_as_they_are():
    assert value_range([np.full((1, 4, 4, 3), 7, np.uint8)]) == (0, 255)
    assert value_range([np.full((1, 4, 4, 3), 0.2, np.float32)]) == (0, 1)


def test_other_values_are_scaled_to_what_occurs_in_all_arrays():
    arrays = [np.array([[-2.0, 0.5]], np.float32), np.array([[np.nan, 3.0, np.inf]], np.float32)]
    assert value_range(arrays) == (-2, 3)
    assert value_range([np.array([100, 60000], np.uint16)]) == (100, 60000)
    assert value_range([np.full((2, 2), 5, np.uint16)]) == (5, 6)
    assert value_range([np.full((2, 2), np.nan, np.float32)]) == (0, 1)


def test_pictures_span_black_to_white_in_three_channels():
    shown = picture(np.array([[[-1.0], [0.0]], [[1.0], [np.nan]], [[np.inf], [-np.inf]]], np.float32), -1, 1)
    assert shown.shape == (3, 2, 3)
    assert shown[..., 1].tolist() == [[0, 0.5], [1, 0.5], [1, 0]]


def test_an_overlay_colours_all_classes_but_background():
    background = np.full((1, 4, 3), 0.5)
    shown = overlay(background, np.array([[0, 1, 11, 255]], np.uint8), opacity=1)
    assert np.array_equal(shown[0], [[0.5] * 3, PALETTE[0], PALETTE[0], [1] * 3])
    half = overlay(background, np.array([[0, 1, 2, 255]], np.int64), opacity=0.5)
    assert np.allclose(half[0, 2], (0.5 + PALETTE[1]) / 2)


def test_soft_targets_are_put_into_words():
    outputs = {
        "image": torch.rand(2, 3, 4, 4),
        "label": torch.tensor([[0.0, 0.7, 0.3], [1.0, 0.0, 0.0]]),
        "box": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        "number": torch.ones(2, 1),
    }
    assert soft_targets(outputs) == ["label: 1 70%, 2 30%", "label: 0 100%"]
    named = soft_targets(outputs, ["ant", "bee", "cat"])
    assert named == ["label: bee 70%, cat 30%", "label: ant 100%"]
    assert soft_targets({"number": torch.ones(2, 1)}) == []


def test_images_of_many_channels_are_known_by_their_number():
    first, last = torch.rand(2, 13, 5, 6), torch.rand(2, 5, 6, 13)
    assert as_images(first) is None and as_images(last) is None
    assert np.array_equal(as_images(first, 13), first.permute(0, 2, 3, 1).numpy())
    assert np.array_equal(as_images(last, 13), last.numpy())
    assert as_images(torch.rand(2, 3, 5, 6), 13).shape == (2, 5, 6, 3)


def test_chosen_channels_are_shown_or_the_first_ones():
    image = np.random.default_rng(0).random((5, 6, 13))
    assert np.array_equal(shown_channels(image, (3, 2, 1)), image[..., [3, 2, 1]])
    assert np.array_equal(shown_channels(image, (12,)), image[..., 12:])
    assert np.array_equal(shown_channels(image), image[..., :3])
    assert np.array_equal(shown_channels(image[..., :2]), image[..., :1])
    assert np.array_equal(shown_channels(image[..., :3], (5,)), image[..., :3])
    assert picture(image, 0, 1).shape == (5, 6, 3)
    with pytest.raises(ConfigError, match="--channels 3,13,1: images have 13 channels; choose of 0 to 12"):
        shown_channels(image, (3, 13, 1))
