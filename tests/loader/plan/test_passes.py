"""How pipelines become a plan, and what is refused at once."""

import copy

import numpy as np
import pytest
import torch
from ffcv.fields.basics import IntDecoder
from ffcv.pipeline.pipeline_spec import PipelineSpec
from ffcv.transforms import Convert, Cutout, ToTorchImage

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, DivideImage255, RandomHorizontalFlip, RandomResizedCrop
from ffcv_hydra.operations.to_tensor import ToTensor
from ffcv_hydra.pipeline import FieldPipeline

pytestmark = pytest.mark.timeout(120)


def test_L6_lists_and_operations_are_never_touched(beton):
    image = [RandomResizedCrop(24), RandomHorizontalFlip(), ToTensor(), ToTorchImage()]
    label = [ToTensor()]
    pipelines = {"image": image, "label": label}
    before = copy.deepcopy([[vars(operation) for operation in operations] for operations in (image, label)])
    first = Loader(beton, 8, pipelines=pipelines)
    second = Loader(beton, 8, pipelines=pipelines)
    assert [len(image), len(label)] == [4, 1]
    assert [[vars(operation) for operation in operations] for operations in (image, label)] == before
    for left, right in zip(first, second, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_pipelines_by_position_equal_those_by_name(beton):
    by_position = [[CenterCrop(8), ToTensor()], None, "disabled"]
    by_name = {"array": "disabled", "image": by_position[0]}
    left, right = Loader(beton, 30, pipelines=by_position), Loader(beton, 30, pipelines=by_name)
    assert left.output_names == right.output_names == ("image", "label")
    assert all(torch.equal(a[0], b[0]) for a, b in zip(left, right, strict=True))


def test_one_instance_may_stand_in_several_places(beton):
    shared, flip = ToTensor(), RandomHorizontalFlip()
    batch = next(iter(Loader(beton, 8, pipelines={"image": [CenterCrop(8), flip, flip, shared], "label": [shared]})))
    assert batch[0].shape == (8, 8, 8, 3) and batch[1].shape == (8, 1)


def test_an_output_may_branch_off_another(beton):
    crop = CenterCrop(8)
    outputs = {
        "image": [crop, ToTensor()],
        "flipped": PipelineSpec(crop, transforms=[RandomHorizontalFlip(p=1.0), ToTensor()]),
        "again": PipelineSpec("image", transforms=[CenterCrop(4), ToTensor()]),
    }
    loader = Loader(beton, 8, pipelines=outputs)
    assert loader.output_names == ("image", "label", "array", "flipped", "again")
    image, _, _, flipped, again = next(iter(loader))
    assert torch.equal(image.flip(2), flipped)
    assert again.shape == (8, 4, 4, 3)


def test_two_outputs_of_one_field_draw_different_numbers(beton):
    views = {name: PipelineSpec("image", transforms=[RandomResizedCrop(8), ToTensor()]) for name in ("one", "two")}
    one, two = next(iter(Loader(beton, 8, pipelines={"image": "disabled", **views})))[2:]
    assert not torch.equal(one, two)


@pytest.mark.parametrize(
    "pipelines, message",
    [
        ({"imgae": None}, "pipeline for 'imgae': .* has no such field; it has image, label, array"),
        ([None, None], r"expected 3 pipelines, one for each field .*\(image, label, array\); got 2"),
        ({}, "images have sizes from 33 x .*start the pipeline with RandomResizedCrop, CenterCrop, Resize"),
        ({"image": [IntDecoder()]}, "pipeline of 'image': IntDecoder cannot decode a RGBImageField"),
        ({"label": [CenterCrop(8)]}, "pipeline of 'label': CenterCrop cannot decode a IntField"),
        ({"image": [CenterCrop(8), CenterCrop(8)]}, "pipeline of 'image': the decoder CenterCrop must come first"),
        ({"image": [CenterCrop(8), 3]}, "3 is neither an Operation nor a torch.nn.Module"),
        ({"image": [CenterCrop(8), torch.nn.Identity()]}, "Identity: a torch module takes a tensor; put ToTensor"),
        ({"image": [CenterCrop(8), DivideImage255()]}, "DivideImage255: takes a tensor: put ToTensor before it"),
        ({"image": [CenterCrop(8), ToTensor(), torch.nn.Linear(5, 2)]}, "Linear: failed on a batch of two .*uint8"),
        ({"image": "dropped"}, "expected a list, null or 'disabled'; got 'dropped'"),
        ({"image": 3}, "expected a list of operations, or a mapping; got int"),
        ({"image": {"joint": "label"}}, "no key 'joint'; keys are operations, source, joint_with, views"),
        (["disabled"] * 3, "every field's pipeline is 'disabled'"),
        ({"x": PipelineSpec(CenterCrop(8))}, "starts from CenterCrop, which no other one holds"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_pipeline_that_does_not_fit_is_refused_in_one_line(beton, pipelines, message):
    if isinstance(pipelines, dict) and "image" not in pipelines and pipelines:
        pipelines = {"image": [CenterCrop(8)], **pipelines}
    with pytest.raises(PipelineError, match=message) as found:
        Loader(beton, 8, pipelines=pipelines)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("operation", [Cutout(4), RandomHorizontalFlip()], ids=["FFCV's", "ours"])
def test_L7_an_array_operation_after_tensors_is_refused_by_name(beton, operation):
    with pytest.raises(PipelineError, match=f"{type(operation).__name__} works on arrays; put it before ToTensor"):
        Loader(beton, 8, pipelines={"image": [CenterCrop(8), ToTensor(), operation]})


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


def test_a_mapping_says_what_a_field_pipeline_says(scenes):
    crop = [RandomResizedCrop(16), ToTensor()]
    by_mapping, by_class = (
        {
            **dict.fromkeys(("depth", "boxes", "text", "label"), "disabled"),
            "image": crop,
            "mask": kind(operations=crop, joint_with="image"),
            "views": kind(operations=crop, source="image", views=2),
        }
        for kind in (dict, FieldPipeline)
    )
    loaders = [Loader(scenes, 16, pipelines=pipelines) for pipelines in (by_mapping, by_class)]
    for one, other in zip(*loaders, strict=True):
        assert all(torch.equal(a, b) for a, b in zip([*one[:2], *one[2]], [*other[:2], *other[2]], strict=True))
