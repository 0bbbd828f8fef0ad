"""F7: constants of a normalisation and images in different units."""

import numpy as np
import pytest
import torch
from ffcv import transforms
from torch import nn
from torchvision import transforms as v1
from torchvision.transforms import v2

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import (
    CenterCrop,
    Convert,
    DivideImage255,
    NormalizeImage,
    NormalizeTensor,
    RandomHorizontalFlip,
    RandomSolarize,
    ToTensor,
    ToTorchImage,
)

pytestmark = pytest.mark.timeout(120)
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
MEAN_255, STD_255 = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
TENSOR = [ToTensor(), ToTorchImage()]


def of_ffcv(mean, std, dtype=np.float32):
    return transforms.NormalizeImage(np.array(mean), np.array(std), dtype)


def load(beton, *operations, **options):
    pipelines = {"image": [CenterCrop(16), *operations], "label": "disabled", "array": "disabled"}
    return Loader(beton, 8, pipelines=pipelines, num_workers=1, **options)


@pytest.mark.parametrize(
    "operations",
    [
        [NormalizeImage(MEAN, STD)],
        [RandomHorizontalFlip(), NormalizeImage([0.5] * 3, [0.5] * 3)],
        [of_ffcv(MEAN, STD)],
        [of_ffcv(MEAN, STD, np.float16)],
        [of_ffcv(MEAN, STD, np.float64)],
        [*TENSOR, NormalizeTensor(MEAN, STD)],
        [*TENSOR, Convert("float32"), NormalizeTensor(MEAN, STD)],
        [*TENSOR, transforms.Convert(torch.float32), v2.Normalize(MEAN, STD)],
        [*TENSOR, v2.ToDtype(torch.float32), v2.Normalize(MEAN, STD)],
        [*TENSOR, v2.ToDtype(torch.float32), v2.ToPureTensor(), v2.RandomHorizontalFlip(), v2.Normalize(MEAN, STD)],
        [*TENSOR, Convert("float32"), nn.Identity(), v1.Normalize(0.485, 0.229)],
        [NormalizeImage([0] * 3, [1] * 3), *TENSOR, NormalizeTensor(MEAN, STD)],
    ],
    ids=range(12),
)
@pytest.mark.parametrize("replace", [True, False])
def test_F7_constants_for_images_of_0_to_1_are_refused_for_levels(beton, operations, replace):
    with pytest.raises(PipelineError, match="pipeline of 'image': Normalize.* 0 to 1, but .* multiply both by 255"):
        load(beton, *operations, replace_ffcv_operations=replace)


@pytest.mark.parametrize(
    "operations",
    [
        [NormalizeImage(MEAN_255, STD)],
        [*TENSOR, NormalizeTensor(MEAN_255, STD)],
        [*TENSOR, DivideImage255(), v2.Normalize(MEAN_255, STD)],
    ],
    ids=range(3),
)
def test_F7_constants_of_two_units_are_refused(beton, operations):
    with pytest.raises(PipelineError, match="Normalize.*: mean .123.7.* is for images of 0 to 255, and std .0.229"):
        load(beton, *operations)


def test_F7_constants_of_two_units_are_refused_the_other_way_round(beton):
    with pytest.raises(PipelineError, match="Normalize.*: mean .0.485.* is for images of 0 to 1, and std .58"):
        load(beton, NormalizeImage(MEAN, STD_255))
    load(beton, NormalizeImage([0.0] * 3, [255.0] * 3))  # which scales


@pytest.mark.parametrize("normalize", [NormalizeTensor(MEAN_255, STD_255), v2.Normalize(MEAN_255, STD_255)])
@pytest.mark.parametrize(
    "scale", [DivideImage255(), v2.ToDtype(torch.float32, scale=True), NormalizeTensor([0] * 3, [255] * 3)]
)
def test_F7_constants_for_levels_are_refused_for_images_of_0_to_1(beton, normalize, scale):
    with pytest.raises(PipelineError, match="mean .123.7, .* 0 to 255, but these are 0 to 1: divide both by 255"):
        load(beton, *TENSOR, scale, normalize)


@pytest.mark.parametrize(
    "operations, most",
    [
        ([NormalizeImage(MEAN_255, STD_255)], 3),
        ([NormalizeImage([0] * 3, [1] * 3)], 255),
        ([*TENSOR, NormalizeTensor(MEAN_255, STD_255)], 3),
        ([*TENSOR, DivideImage255(), NormalizeTensor(MEAN, STD)], 3),
        ([*TENSOR, DivideImage255(), v2.Normalize(MEAN, STD)], 3),
        ([*TENSOR, v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)], 3),
        ([*TENSOR, v2.ToDtype(torch.float32), v2.Normalize(MEAN_255, STD_255)], 3),
        ([*TENSOR, NormalizeTensor([0] * 3, [255] * 3), v2.Normalize(MEAN, STD)], 3),
    ],
    ids=range(8),
)
def test_F7_what_fits_is_taken(beton, operations, most):
    assert float(next(iter(load(beton, *operations)))[0].max()) <= most


class Normalize(nn.Module):
    """A user's, which divides by 255 itself."""

    def __init__(self, **constants):
        super().__init__()
        vars(self).update(constants)

    def forward(self, images):
        return (images / 255 - 0.5) / 0.25


@pytest.mark.parametrize(
    "constants", [{}, {"mean": 0.5}, {"mean": torch.full((3, 1, 1), 0.4), "std": torch.ones(3, 1, 1)}]
)
def test_F7_a_module_of_the_users_that_is_called_so_is_its_own_affair(beton, constants):
    assert float(next(iter(load(beton, *TENSOR, Normalize(**constants))))[0].max()) <= 2


def test_F7_a_threshold_for_images_of_0_to_1_is_refused():
    with pytest.raises(PipelineError, match="RandomSolarize: threshold is a level from 0 to 255, not a share; got 0.5"):
        RandomSolarize(0.5)
