"""Each operation of `ffcv.transforms` runs in this loader, as FFCV's users put it into pipelines."""

import numpy as np
import pytest
import torch
from ffcv import transforms as t

from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, ScalarDecoder

pytestmark = pytest.mark.timeout(300)
SIDE = 16
TENSORS = (t.ToTensor(), t.ToTorchImage())


def mask() -> tuple[np.ndarray, np.ndarray]:
    return np.full((SIDE, SIDE, 3), 200.0), np.full((SIDE, SIDE), 0.5)


ON_IMAGES = {
    "Convert": [*TENSORS, t.Convert(torch.float16)],
    "Cutout": [t.Cutout(4), *TENSORS],
    "ImageMixup": [t.ImageMixup(0.5, same_lambda=True), *TENSORS],
    "ModuleWrapper": [*TENSORS, t.ModuleWrapper(torch.nn.Identity())],
    "NormalizeImage": [t.NormalizeImage(np.zeros(3), np.ones(3), np.float32), *TENSORS],
    "Poison": [t.Poison(*mask(), indices=[1, 2]), *TENSORS],
    "RandomBrightness": [t.RandomBrightness(0.5), *TENSORS],
    "RandomContrast": [t.RandomContrast(0.5), *TENSORS],
    "RandomHorizontalFlip": [t.RandomHorizontalFlip(), *TENSORS],
    "RandomResizedCrop": [t.RandomResizedCrop((0.5, 1.0), (0.75, 4 / 3), SIDE), *TENSORS],
    "RandomSaturation": [t.RandomSaturation(0.5), *TENSORS],
    "RandomTranslate": [t.RandomTranslate(2), *TENSORS],
    "ToDevice": [*TENSORS, t.ToDevice(torch.device("cpu"))],
    "ToTensor": [*TENSORS],
    "ToTorchImage": [t.ToTensor(), t.ToTorchImage(channels_last=False)],
    "View": [t.ToTensor(), t.View(torch.int8), t.ToTorchImage()],
}
ON_LABELS = {
    "LabelMixup": [t.LabelMixup(0.5, same_lambda=True), t.ToTensor()],
    "MixupToOneHot": [t.LabelMixup(0.5, same_lambda=True), t.ToTensor(), t.MixupToOneHot(90)],
    "ReplaceLabel": [t.ReplaceLabel([3], 5), t.ToTensor()],
    "Squeeze": [t.ToTensor(), t.Squeeze(1)],
}


def test_no_transform_is_forgotten():
    assert set(ON_IMAGES) | set(ON_LABELS) == set(t.__all__)


@pytest.mark.parametrize("name", sorted(ON_IMAGES))
def test_image_transform_runs(beton, name):
    pipelines = {"image": [CenterCrop(SIDE), *ON_IMAGES[name]], "label": "disabled", "array": "disabled"}
    loader = Loader(beton, 32, pipelines=pipelines, num_workers=2, replace_ffcv_operations=False)
    assert [tuple(batch[0].shape) for batch in loader] == [(count, 3, SIDE, SIDE) for count in (32, 32, 26)]


@pytest.mark.parametrize("name", sorted(ON_LABELS))
def test_label_transform_runs(beton, name):
    shape = {"LabelMixup": (3,), "MixupToOneHot": (90,), "ReplaceLabel": (1,), "Squeeze": ()}[name]
    pipelines = {"label": [ScalarDecoder(), *ON_LABELS[name]], "image": "disabled", "array": "disabled"}
    loader = Loader(beton, 32, pipelines=pipelines, num_workers=2, replace_ffcv_operations=False)
    assert [tuple(batch[0].shape) for batch in loader] == [(count, *shape) for count in (32, 32, 26)]
