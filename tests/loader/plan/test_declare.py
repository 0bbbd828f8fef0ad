"""What operations make of what they are given."""

import numpy as np
import pytest
import torch
from ffcv.transforms import Convert, Cutout

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, DivideImage255, RandomHorizontalFlip, ToTensor
from ffcv_hydra.operations.tensor_operation import TensorOperation

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("operation", [Cutout(4), RandomHorizontalFlip()], ids=["FFCV's", "ours"])
def test_L7_an_array_operation_after_tensors_is_refused_by_name(beton, operation):
    with pytest.raises(PipelineError, match=f"{type(operation).__name__}: works on arrays; put it before ToTensor"):
        Loader(beton, 8, pipelines={"image": [CenterCrop(8), ToTensor(), operation]})


class Doubts(TensorOperation):
    def after(self, before):
        raise AssertionError("it is no use")

    def apply(self, batch):
        raise NotImplementedError


def test_what_an_operation_of_a_users_raises_is_told_in_one_line(beton):
    with pytest.raises(PipelineError, match="pipeline of 'image': Doubts: AssertionError: it is no use"):
        Loader(beton, 8, pipelines={"image": [CenterCrop(8), Doubts()]})


@pytest.mark.parametrize("told", ["accept_field", "accept_globals"])
def test_what_an_operation_raises_when_it_is_told_of_the_field_names_it(beton, told, monkeypatch):
    def refuse(self, *_):
        raise KeyError("height")

    monkeypatch.setattr(Doubts, told, refuse)
    with pytest.raises(PipelineError, match="pipeline of 'image': Doubts: KeyError: 'height'"):
        Loader(beton, 8, pipelines={"image": [CenterCrop(8), Doubts()]})


class Mirror(RandomHorizontalFlip):
    geometric = False


def test_an_operation_that_mirrors_must_be_geometric_and_give_a_probability(beton, monkeypatch):
    with pytest.raises(PipelineError, match="pipeline of 'image': Mirror: as_flip says that it mirrors, and geometric"):
        Loader(beton, 8, pipelines={"image": [CenterCrop(8), Mirror()]})
    monkeypatch.setattr(Mirror, "as_flip", lambda self: "often")
    with pytest.raises(PipelineError, match="Mirror: as_flip gives 'often'; return a probability, or None"):
        Loader(beton, 8, pipelines={"image": [CenterCrop(8), Mirror()]})


def test_T1_shape_and_dtype_after_a_torch_module_are_found(beton):
    class Shrink(torch.nn.Module):
        def forward(self, batch):
            return batch.float().mean(-1) / 255

    loader = Loader(beton, 8, pipelines={"image": [CenterCrop(8), ToTensor(), Shrink(), Convert(torch.float64)]})
    batch = next(iter(loader))[0]
    assert batch.shape == (8, 8, 8) and batch.dtype == torch.float64
    assert 0 < batch.mean() < 1
    node = loader.plan.outputs["image"]
    assert node.parent.state.shape == (8, 8) and node.parent.state.dtype == torch.float32


def test_default_pipelines_need_nothing_compiled(beton):
    label, array = next(iter(Loader(beton, 8, pipelines={"image": "disabled"})))
    assert label.dtype == torch.int64 and array.dtype == torch.float32
    assert np.array_equal(array[:, 1, 2], label[:, 0])


@pytest.mark.parametrize(
    "pipelines, message",
    [
        ({}, "images have sizes from 33 x .*start the pipeline with RandomResizedCrop, CenterCrop, Resize"),
        ({"image": [CenterCrop(8), torch.nn.Identity()]}, "Identity: a torch module takes a tensor; put ToTensor"),
        ({"image": [CenterCrop(8), DivideImage255()]}, "DivideImage255: takes a tensor: put ToTensor before it"),
        ({"image": [CenterCrop(8), ToTensor(), torch.nn.Linear(5, 2)]}, "Linear: failed on a batch of two .*uint8"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_operation_that_refuses_what_it_is_given_is_named_in_one_line(beton, pipelines, message):
    with pytest.raises(PipelineError, match=message) as found:
        Loader(beton, 8, pipelines=pipelines)
    assert "\n" not in str(found.value)
