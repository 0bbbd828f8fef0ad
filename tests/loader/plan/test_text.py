"""A plan that is printed."""

import pytest
import torch
from ffcv.transforms import Cutout as FFCVCutout
from torchvision.transforms import v2

from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import (
    CenterCrop,
    ColorJitter,
    DivideImage255,
    MixedTargets,
    Mixup,
    RandomHorizontalFlip,
    RandomResizedCrop,
    ToTensor,
    ToTorchImage,
)
from ffcv_hydra.pipeline import FieldPipeline
from tests.loader.configurations import ONLY_IMAGE, make

pytestmark = pytest.mark.timeout(120)


def printed(path, pipelines, **options):
    return str(
        Loader(path, 16, pipelines=ONLY_IMAGE | {"label": "disabled"} | pipelines, num_workers=2, **options).plan
    )


def test_what_is_fused_and_lent_and_promised_is_said(scenes):
    image = [RandomResizedCrop(24), RandomHorizontalFlip(), ToTensor(), ToTorchImage(), DivideImage255()]
    assert printed(scenes, {"image": image}).splitlines() == [
        "image: float32 (3, 24, 24)",
        "  on chunks of 16 samples, by all threads; each image goes through all of them",
        "    RandomResizedCrop: as FFCV's decoder of the same name: OpenCV's INTER_AREA of what TurboJPEG decodes, "
        "within 1 of 255",
        "    RandomHorizontalFlip: fused with RandomResizedCrop; as torchvision's `horizontal_flip`",
        "    DivideImage255: done image by image, before it is a tensor; as torch's division in the dtype",
        "  lent in this form: costs nothing",
        "    ToTensor: as `torch.from_numpy`",
        "    ToTorchImage: as `permute(0, 3, 1, 2)`",
    ]


def test_who_waits_for_what_is_said(scenes):
    tail = [ToTensor(), ToTorchImage(), torch.nn.Identity(), v2.RandomErasing(), torch.nn.Identity()]
    text = printed(scenes, {"image": [CenterCrop(24), FFCVCutout(4), *tail]}, replace_ffcv_operations=False)
    compiled, tensors, alone, *_ = [
        line for line in text.splitlines() if line.startswith("  on whole") or "waits" in line
    ]
    assert "its code is compiled for them, and only one such runs at a time" in compiled
    assert tensors.endswith("since these are tensors")
    assert alone.endswith("which waits for it, sample by sample, since it draws from global generators")
    names = [line.split(":")[0].strip() for line in text.splitlines() if line.startswith("    ")]
    assert names == ["CenterCrop", "Cutout", "ToTensor", "ToTorchImage", "Identity", "RandomErasing", "Identity"]


def test_tables_behind_other_operations_are_said_to_be_looked_up(scenes):
    text = printed(scenes, {"image": [CenterCrop(24), ColorJitter(0.4), ToTensor(), DivideImage255()]})
    assert "    DivideImage255: done image by image, before it is a tensor; as torch's division" in text


def test_outputs_that_belong_together_are_named(scenes):
    lines = str(make(scenes, "random").plan).splitlines()
    assert "mask: uint8 (24, 24, 1); joint with 'image'; moves with depth, image" in lines
    assert any(line.startswith("boxes: ") and line.endswith("; follows nothing") for line in lines)
    text = printed(scenes, {
        "image": [CenterCrop(24), Mixup(), ToTensor()],
        "label": FieldPipeline([MixedTargets(5), ToTensor()], joint_with="image"),
    })  # fmt: skip
    assert "label: float32 (5,); joint with 'image'" in text


def test_views_are_decoded_once_and_shown_once(scenes):
    text = str(make(scenes, "views").plan)
    assert "large: uint8 (24, 24, 3); reads 'image'; 2 views, each drawn anew" in text
    assert text.count("; images are decoded once for image, large, small") == 3
    assert text.count("RandomInvert") == 1


def test_images_that_are_stored_as_they_are_wanted_go_through_a_chain(scenes):
    assert "each image goes through all of them" not in printed(scenes, {"image": [CenterCrop(24), ToTensor()]})


def test_ffcvs_operations_that_are_replaced_are_named(scenes):
    text = printed(scenes, {"image": [CenterCrop(24), FFCVCutout(4), ToTensor()]})
    assert text.splitlines()[-1] == "Operations of ffcv_hydra stand in for FFCV's Cutout."


def test_what_is_promised_follows_the_interpolation_and_the_field(scenes):
    text = printed(scenes, {
        "image": [CenterCrop(24, interpolation="bilinear", scaled_decoding=True)],
        "mask": FieldPipeline([CenterCrop(24)], joint_with="image"),
    })  # fmt: skip
    assert "BILINEAR, antialias, but for JPEGs that scaled_decoding shrinks, 2 levels off on average, within 1" in text
    assert "CenterCrop: as torchvision's `resize` with NEAREST_EXACT" in text


def test_what_was_measured_stands_behind_what_runs(scenes):
    plan = make(scenes, "views").plan
    times = {link.nodes: 1.5e-5 for step in plan.steps for link in step.links}
    assert "(15 µs per sample)" in plan.in_words(times)
