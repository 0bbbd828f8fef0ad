"""What outputs are asked for."""

import pytest
import torch

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, RandomResizedCrop, ToTensor
from ffcv_hydra.pipeline import FieldPipeline

pytestmark = pytest.mark.timeout(120)


def test_pipelines_by_position_equal_those_by_name(beton):
    by_position = [[CenterCrop(8), ToTensor()], None, "disabled"]
    by_name = {"array": "disabled", "image": by_position[0]}
    left, right = Loader(beton, 30, pipelines=by_position), Loader(beton, 30, pipelines=by_name)
    assert left.output_names == right.output_names == ("image", "label")
    assert all(torch.equal(a[0], b[0]) for a, b in zip(left, right, strict=True))


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


@pytest.mark.parametrize(
    "pipelines, message",
    [
        ({"view": {"source": "imgae"}}, "pipeline for 'view': .* has no field 'imgae' for it to read; it has image"),
        ({"imgae": None}, "pipeline for 'imgae': .* has no such field; it has image, label, array"),
        ([None, None], r"expected 3 pipelines, one for each field .*\(image, label, array\); got 2"),
        ({"image": "dropped"}, "expected a list, null or 'disabled'; got 'dropped'"),
        ({"image": 3}, "expected a list of operations, or a mapping; got int"),
        ({"image": {"joint": "label"}}, "no key 'joint'; keys are operations, source, joint_with, views"),
        (["disabled"] * 3, "every field's pipeline is 'disabled'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_pipeline_is_refused_in_one_line(beton, pipelines, message):
    with pytest.raises(PipelineError, match=message) as found:
        Loader(beton, 8, pipelines=pipelines)
    assert "\n" not in str(found.value)
