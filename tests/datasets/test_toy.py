import numpy as np
import pytest
import torch

from ffcv_hydra.datasets import ToyArrays, ToyImages, ToyTensorsAndJson

TOYS = [ToyImages, ToyArrays, ToyTensorsAndJson]


def content(item):
    return np.asarray(item[0]).tobytes(), item[1]


@pytest.mark.parametrize("toy", TOYS)
def test_a_sample_depends_only_on_seed_and_index(toy):
    assert content(toy(10)[3]) == content(toy(20)[3])
    assert content(toy(10)[3]) != content(toy(10)[4])
    assert content(toy(10)[3])[0] != content(toy(10, seed=1)[3])[0]


@pytest.mark.parametrize("toy", TOYS)
def test_length_ends_iteration(toy):
    assert len(toy()) == 256
    assert len(list(iter(toy(5)))) == 5


def test_types_of_items():
    image, label = ToyImages(4, size=20)[2]
    assert (image.mode, image.size, label) == ("RGB", (20, 20), 2)
    array, label = ToyArrays(4, size=20)[2]
    assert (array.dtype, array.shape, label) == (np.float32, (20,), 2)
    tensor, record = ToyTensorsAndJson(4, size=20)[2]
    assert (tensor.dtype, tensor.shape) == (torch.float32, (20,))
    assert record == {"index": 2, "text": "sample 2"}


def test_images_are_smooth():
    pixels = np.asarray(ToyImages(4, size=64)[0][0]).astype(int)
    assert np.abs(np.diff(pixels, axis=0)).mean() < 10
    assert pixels.std() > 20
