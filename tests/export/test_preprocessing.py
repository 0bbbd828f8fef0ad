"""Pipelines in words that other programs can follow, and those that have none."""

import pytest
from torchvision.transforms import v2

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.export import describe
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import (
    CenterCrop,
    DivideImage255,
    NormalizeImage,
    RandomHorizontalFlip,
    RandomInvert,
    RandomResizedCrop,
    ToTensor,
    ToTorchImage,
)

LEVELS = (ToTensor(), ToTorchImage())


def described(pictures, operations):
    return describe(Loader(pictures[1], 2, pipelines={"image": operations, "label": "disabled"}, num_workers=1))


def test_a_pipeline_is_told_in_plain_values(pictures):
    normalized = NormalizeImage([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
    assert described(pictures, [CenterCrop(32, 0.875), normalized, *LEVELS]) == {
        "picture": "RGB",
        "crop": 0.875,
        "resize": {"size": [32, 32], "filter": "area"},
        "mean": [123.675, 116.28, 103.53],
        "std": [58.395, 57.12, 57.375],
        "layout": "NCHW",
        "dtype": "float32",
        "shape": [3, 32, 32],
    }


def test_torchvisions_normalisation_is_understood(pictures):
    found = described(pictures, [CenterCrop(32), *LEVELS, DivideImage255(), v2.Normalize([0.5] * 3, [0.25] * 3)])
    assert (found["mean"], found["std"]) == ([127.5] * 3, [63.75] * 3)


@pytest.mark.parametrize(
    ("operations", "fault"),
    [
        ([RandomResizedCrop(32), *LEVELS], "RandomResizedCrop is not for evaluations: CenterCrop"),
        ([CenterCrop(32, scaled_decoding=True), *LEVELS], "CenterCrop with scaled_decoding has pixels of its own"),
        ([CenterCrop(32), RandomHorizontalFlip(), *LEVELS], "RandomHorizontalFlip is neither"),
        ([CenterCrop(32), RandomInvert(), *LEVELS], "RandomInvert is neither"),
        ([CenterCrop(32), *LEVELS, DivideImage255(), v2.Grayscale(3)], "Grayscale is neither"),
        ([CenterCrop(32), *LEVELS, DivideImage255("bfloat16")], "bfloat16 is no dtype"),
    ],
)
def test_what_has_no_such_description_is_named(pictures, operations, fault):
    with pytest.raises(PipelineError, match=f"^pipeline.val.image cannot be exported: {fault}"):
        described(pictures, operations)


def test_views_have_no_description(pictures):
    pipeline = {"source": "image", "views": 2, "operations": [CenterCrop(32), *LEVELS]}
    with pytest.raises(PipelineError, match="cannot be exported: a list of views"):
        describe(Loader(pictures[1], 2, pipelines={"image": "disabled", "label": "disabled", "views": pipeline}))
