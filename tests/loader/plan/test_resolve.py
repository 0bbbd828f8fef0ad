"""Which operations an output goes through."""

import copy

import pytest
import torch
from ffcv.fields.basics import IntDecoder
from ffcv.pipeline.pipeline_spec import PipelineSpec
from ffcv.transforms import ToTorchImage

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, RandomHorizontalFlip, RandomResizedCrop, ToTensor

pytestmark = pytest.mark.timeout(120)
LATER = CenterCrop(8)


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
        ({"image": [IntDecoder()]}, "of 'image': IntDecoder cannot decode a RGBImageField; leave it out"),
        ({"x": PipelineSpec("label", CenterCrop(8))}, "pipeline of 'x': CenterCrop cannot decode a IntField"),
        ({"label": [CenterCrop(8)]}, "pipeline of 'label': CenterCrop cannot decode a IntField"),
        ({"image": [CenterCrop(8), CenterCrop(8)]}, "pipeline of 'image': the decoder CenterCrop must come first"),
        ({"image": [CenterCrop(8), 3]}, "3 is neither an Operation nor a torch.nn.Module; leave it out"),
        ({"image": [CenterCrop, ToTensor()]}, r"CenterCrop'> is neither .*; make one: CenterCrop\(...\)"),
        ({"x": PipelineSpec(CenterCrop(8))}, "starts from CenterCrop, which no output before it holds"),
        ({"x": PipelineSpec(LATER), "y": PipelineSpec("image", LATER)}, "which no output before it holds"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_operations_that_cannot_stand_where_they_do_are_refused_in_one_line(beton, pipelines, message):
    pipelines = {"image": [CenterCrop(8)], **pipelines}
    with pytest.raises(PipelineError, match=message) as found:
        Loader(beton, 8, pipelines=pipelines)
    assert "\n" not in str(found.value)
