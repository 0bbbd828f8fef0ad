"""Outputs that share their geometric draws: an image and its mask stay on top of each other."""

import numpy as np
import pytest
from ffcv.transforms import ImageMixup
from ffcv.transforms import RandomTranslate as FFCVRandomTranslate

from ffcv_hydra.beton import MaskField, write_beton
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import (
    CenterCrop,
    ColorJitter,
    CutMix,
    MixedTargets,
    Mixup,
    RandAugment,
    RandomHorizontalFlip,
    RandomInvert,
    RandomResizedCrop,
    RandomRotation,
    RandomTranslate,
    Resize,
    ToTensor,
)
from ffcv_hydra.pipeline import FieldPipeline
from tests.loader.configurations import ONLY_IMAGE

pytestmark = pytest.mark.timeout(60)


def load(beton, image, mask, **options):
    pipelines = ONLY_IMAGE | {"image": image, "mask": FieldPipeline(mask, joint_with="image"), "label": "disabled"}
    return Loader(beton, 16, pipelines=pipelines, num_workers=1, **options)


def geometry():
    """Moves pixels by whole pixels, or takes the nearest one, so that mask and image can be compared."""
    return [
        RandomResizedCrop(24, interpolation="nearest"),
        RandomHorizontalFlip(),
        RandomRotation(40, fill=0),
        RandomTranslate(4, fill=0),
    ]


def test_mask_moves_as_its_image_does(raw_scenes):
    for image, mask in load(raw_scenes, [*geometry(), ToTensor()], [*geometry(), ToTensor()]):
        assert mask.shape == (16, 24, 24, 1)
        assert (image[..., :1] // 64 == mask).all()  # as the dataset made it
        assert (mask[:, 0] != mask[:, -1]).any()


def test_colours_between_do_not_tear_them_apart(raw_scenes):
    crop, flip, *others = geometry()
    plain = [mask for _, mask in load(raw_scenes, [*geometry(), ToTensor()], [*geometry(), ToTensor()])]
    jittered = [crop, RandomInvert(1.0), RandomInvert(1.0), flip, ColorJitter(0.5), *others, ToTensor()]
    loader = load(raw_scenes, jittered, [*geometry(), ToTensor()])
    assert all((mask == expected).all() for (_, mask), expected in zip(loader, plain, strict=True))


def test_outputs_that_are_not_joint_draw_for_themselves(raw_scenes):
    pipelines = ONLY_IMAGE | {
        "image": [*geometry(), ToTensor()],
        "mask": FieldPipeline([*geometry(), ToTensor()], joint_with="disabled"),
        "label": "disabled",
    }
    image, mask = next(iter(Loader(raw_scenes, 16, pipelines=pipelines, num_workers=1)))
    assert (image[..., :1] // 64 != mask).any()


def test_any_number_of_outputs_is_joint_also_by_way_of_one_another(raw_scenes):
    pipelines = ONLY_IMAGE | {
        "label": "disabled",
        "mask": FieldPipeline([*geometry(), ToTensor()], joint_with="image"),
        "image": [*geometry(), ToTensor()],
        "depth": FieldPipeline([*geometry(), ToTensor()], joint_with="mask"),
    }
    for image, mask, depth in Loader(raw_scenes, 16, pipelines=pipelines, num_workers=2):
        assert (image[..., :1] // 64 == mask).all()
        assert (np.asarray(depth) == 250 * np.asarray(image[..., 1:2]).astype(np.uint16)).all()


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (
            [RandomResizedCrop(24), RandomHorizontalFlip()],
            [RandomResizedCrop(24)],
            r"operation 2 is nothing, but in 'image', .* it is RandomHorizontalFlip\(p=0.5\); make them equal",
        ),
        (
            [RandomResizedCrop(24, scale=[0.5, 1.0])],
            [RandomResizedCrop(24)],
            r"is RandomResizedCrop\(size=\(24, 24\), scale=\(0.08, 1.0\), .* it is .*scale=\(0.5, 1.0\)",
        ),
        ([CenterCrop(24)], [CenterCrop(24, ratio=0.5)], r"ratio=0.5\), but in 'image'"),
        (
            [Resize([24, 24]), RandAugment()],
            [Resize([24, 24])],
            r"operation 2 is nothing, but in 'image', .* it is RandAugment\(num_ops=2, magnitude=9, ",
        ),
        ([Resize([24, 24]), Mixup()], [Resize([24, 24])], "'image': 'mask', .*Mixup does; leave it out"),
    ],
)
def test_pipelines_that_would_tear_them_apart_are_refused(raw_scenes, image, mask, message):
    with pytest.raises(PipelineError, match=message) as found:
        load(raw_scenes, image, mask)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("mixing", "remedy"),
    [
        (Mixup(), "add MixedTargets and joint_with: image"),
        (CutMix(), "add MixedTargets and joint_with: image"),
        (ImageMixup(0.5, same_lambda=True), "add LabelMixup"),
    ],
)
@pytest.mark.parametrize("label", [None, [ToTensor()]])
def test_labels_of_mixed_images_that_would_stay_whole_are_refused(scenes, mixing, remedy, label):
    pipelines = ONLY_IMAGE | {"image": [CenterCrop(16), mixing, ToTensor()], "label": label}
    with pytest.raises(PipelineError, match=f"of 'label': {type(mixing).__name__} mixes 'image', .*{remedy}, or say"):
        Loader(scenes, 4, pipelines=pipelines)


@pytest.mark.parametrize("label", ["disabled", FieldPipeline(joint_with="disabled")])
def test_labels_may_be_said_to_stay(scenes, label):
    Loader(scenes, 4, pipelines=ONLY_IMAGE | {"image": [CenterCrop(16), CutMix(), ToTensor()], "label": label})


def test_images_and_masks_of_different_sizes_are_refused(tmp_path):
    def pair(index):
        size = (30, 40) if index == 3 else (40, 30)
        return np.zeros((40, 30, 3), np.uint8), np.zeros(size, np.uint8)

    path = tmp_path / "pairs.beton"
    write_beton([pair(index) for index in range(6)], path, {"image": RGBImageField("raw"), "mask": MaskField()})
    pipelines = {"image": [Resize([8, 8])], "mask": FieldPipeline([Resize([8, 8])], joint_with="image")}
    with pytest.raises(PipelineError, match="sample 3: 'mask' has 30 x 40 pixels, and 'image', .* 40 x 30; store both"):
        Loader(path, 2, pipelines=pipelines)


def test_an_operation_of_ffcv_that_draws_for_itself_is_refused(raw_scenes):
    image = [CenterCrop(24), FFCVRandomTranslate(4)]
    with pytest.raises(PipelineError, match="ffcv.transforms.*RandomTranslate does; leave it out"):
        load(raw_scenes, image, [CenterCrop(24)], replace_ffcv_operations=False)
    load(raw_scenes, image, [CenterCrop(24), RandomTranslate(4)])  # ours stands in for it


@pytest.mark.parametrize(
    ("pipelines", "message"),
    [
        ({"mask": FieldPipeline([CenterCrop(8)], joint_with="imgae")}, "joint_with names 'imgae', which is no output"),
        ({"mask": FieldPipeline([CenterCrop(8)], joint_with="mask")}, "circle: mask -> mask"),
        (
            {
                "mask": FieldPipeline([CenterCrop(8)], joint_with="image"),
                "image": FieldPipeline([CenterCrop(8)], joint_with="mask"),
            },
            "circle: image -> mask -> image",
        ),
        ({"mask": FieldPipeline([CenterCrop(8)], joint_with="image", views=2)}, "'mask': it has 2 views, but 'image'"),
        ({"label": [MixedTargets(5)]}, "it is joint with no output"),
        ({"label": FieldPipeline([MixedTargets(5)], joint_with="image")}, "'image' has 0 of them"),
    ],
)
def test_partners_that_cannot_be_are_refused(raw_scenes, pipelines, message):
    with pytest.raises(PipelineError, match=message) as found:
        Loader(raw_scenes, 4, pipelines=ONLY_IMAGE | {"image": [CenterCrop(8)]} | pipelines)
    assert "\n" not in str(found.value)
