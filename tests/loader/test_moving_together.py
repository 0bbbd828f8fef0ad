"""Images and what lies on them, masks, boxes and points: moved alike, or said to stay, or refused."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from ffcv import transforms as t
from ffcv.fields.rgb_image import CenterCropRGBImageDecoder, RandomResizedCropRGBImageDecoder, SimpleRGBImageDecoder
from ffcv.pipeline.pipeline_spec import PipelineSpec
from torch import nn
from torch.nn import functional
from torchvision.transforms import v2

from ffcv_hydra import FFCVDataModule, FFCVPipelineManager
from ffcv_hydra.beton import BoundingBoxesField, MaskField, RaggedArrayField, write_beton
from ffcv_hydra.beton.fields.array_fields import NDArrayField
from ffcv_hydra.beton.fields.bytes_fields import JSONField
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.device_transforms import DeviceTransforms
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import (
    CenterCrop,
    ChunkOperation,
    ColorJitter,
    Convert,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
    Squeeze,
    ToTensor,
    ToTorchImage,
    WholeImage,
)
from ffcv_hydra.operations.operation import AllocationQuery, Operation
from ffcv_hydra.pipeline import FieldPipeline
from tests.loader.configurations import RANDOM_OPERATIONS

pytestmark = pytest.mark.timeout(120)

SIDE, COUNT = 24, 16
MOVE = {
    "CutMix", "Mixup", "Mosaic", "RandAugment", "RandomAffine", "RandomCrop", "RandomHorizontalFlip", "RandomIoUCrop",
    "RandomResizedCrop", "RandomRotation", "RandomShortestSide", "RandomTranslate", "RandomVerticalFlip",
    "RandomZoomOut", "TrivialAugmentWide",
}  # fmt: skip
MODULES_THAT_MOVE = [
    v2.RandomHorizontalFlip(), v2.RandomVerticalFlip(), v2.RandomRotation(10), v2.RandomAffine(10),
    v2.RandomPerspective(p=1), v2.RandomCrop(20), v2.RandomResizedCrop(20, antialias=True), v2.ElasticTransform(),
    v2.RandomZoomOut(p=1), v2.RandAugment(), v2.RandomApply([v2.RandomRotation(5)]),
    v2.Compose([v2.ColorJitter(0.5), v2.RandomHorizontalFlip()]), v2.RandomChoice([v2.RandomVerticalFlip()]),
    nn.Sequential(v2.RandomHorizontalFlip()),
]  # fmt: skip
MODULES_THAT_RESIZE = [v2.Resize(20, antialias=True), v2.CenterCrop(20), v2.Pad(2), nn.AvgPool2d(2)]
MODULES_OF_VALUES = [
    v2.ColorJitter(0.5), v2.GaussianBlur(3), v2.RandomGrayscale(), v2.RandomErasing(), v2.RandomInvert(),
    v2.RandomSolarize(0.5), v2.RandomApply([v2.ColorJitter(0.5)]), v2.Normalize([0.5] * 3, [0.5] * 3), v2.Grayscale(3),
    nn.Sequential(nn.Dropout(), v2.ColorJitter(0.5)), nn.Dropout(), nn.Identity(), v2.ToDtype(torch.float16),
]  # fmt: skip
TO_TENSOR = [ToTensor(), ToTorchImage()]
TO_FLOAT = [*TO_TENSOR, v2.ToDtype(torch.float32, scale=True)]


def named(value) -> str:
    return type(value).__name__


@pytest.fixture(scope="module")
def beton(tmp_path_factory):
    """Images of one size with masks that are a quarter of their red."""

    def sample(index):
        random = np.random.default_rng(index)
        image = random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        boxes, points = random.random((index % 3, 4), dtype=np.float32), random.random((5, 2), dtype=np.float32)
        return index, image, image[..., 0] // 64, boxes, points, np.ones(7, np.int64), {"boxes": []}, [[0, 0, 9, 9]]

    path = tmp_path_factory.mktemp("together") / "together.beton"
    fields = {
        "label": None,
        "image": RGBImageField("raw"),
        "mask": MaskField(),
        "found": RaggedArrayField("float32", [4]),
        "face_keypoints": NDArrayField(np.dtype("float32"), (5, 2)),
        "attention_mask": NDArrayField(np.dtype("int64"), (7,)),
        "annotations": JSONField(),
        "places": BoundingBoxesField(),
    }
    write_beton([sample(index) for index in range(COUNT)], path, fields, num_workers=0)
    return path


ARRAYS = ("found", "face_keypoints", "attention_mask", "annotations")


def load(beton, pipelines, keep=(), **options) -> Loader:
    others = {name: "disabled" for name in ("label", "places", *ARRAYS) if name not in keep}
    return Loader(beton, COUNT, pipelines=others | pipelines, num_workers=1, **options)


def refused(beton, pipelines, message, **options) -> None:
    with pytest.raises(PipelineError, match=message) as found:
        load(beton, pipelines, **options)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", [name for name in RANDOM_OPERATIONS if name != "MixedTargets"])
def test_F8_a_mask_must_follow_each_operation_that_moves_pixels(beton, name):
    operation = RANDOM_OPERATIONS[name]()
    image = [*([] if operation.is_decoder else [WholeImage()]), operation, *TO_TENSOR]
    if name in MOVE:
        refused(beton, {"image": image}, f"'mask': it holds places in 'image', .* is nothing, but there it is {name}")
    else:
        load(beton, {"image": image})
    stays = load(beton, {"image": image, "mask": FieldPipeline(joint_with="disabled")}, drop_last=True)
    assert stays.pictures["mask"].together == stays.pictures["image"].together == frozenset()


@pytest.mark.parametrize("module", [*MODULES_THAT_MOVE, *MODULES_THAT_RESIZE, *MODULES_OF_VALUES], ids=named)
def test_F8_a_mask_must_follow_each_torch_module_that_moves_pixels(beton, module):
    pipelines = {"image": [WholeImage(), *TO_FLOAT, module]}
    if module in MODULES_OF_VALUES:
        load(beton, pipelines)
    else:
        refused(beton, pipelines, f"'mask': it holds places .* is nothing, but there it is {named(module)}")


@pytest.mark.parametrize(
    "image",
    [
        [CenterCropRGBImageDecoder((16, 16), 1.0)],
        [RandomResizedCropRGBImageDecoder((16, 16))],
        [SimpleRGBImageDecoder(), t.RandomHorizontalFlip()],
        [SimpleRGBImageDecoder(), t.RandomTranslate(2)],
        [SimpleRGBImageDecoder(), t.RandomResizedCrop((0.5, 1.0), (0.75, 4 / 3), SIDE)],
        [SimpleRGBImageDecoder(), t.ImageMixup(0.5, same_lambda=True)],
    ],
    ids=lambda image: named(image[-1]),
)
@pytest.mark.parametrize("replace", [True, False])
def test_F8_operations_of_ffcv_count_whether_they_are_replaced_or_not(beton, image, replace):
    refused(beton, {"image": image}, "'mask': it holds places in 'image'", replace_ffcv_operations=replace)


def test_F8_ffcvs_operations_that_change_values_leave_the_mask_alone(beton):
    image = [SimpleRGBImageDecoder(), t.Cutout(4), t.RandomBrightness(0.5), t.ToTensor(), t.ToTorchImage()]
    assert load(beton, {"image": image}, replace_ffcv_operations=False).pictures["mask"].together == {"image"}


class Halves(Operation):
    geometric = True

    def declare_state_and_memory(self, previous_state):
        height, width, channels = previous_state.shape
        return replace(previous_state, shape=(height // 2, width, channels)), None

    def generate_code(self):
        return lambda images, _: images[:, ::2]


def test_F8_a_users_operation_that_changes_height_or_width_must_be_followed(beton):
    image = [WholeImage(), Halves(), *TO_TENSOR]
    refused(beton, {"image": image}, r"is nothing, but there it is Halves\(\); say joint_with: image")
    loader = load(beton, {"image": image, "mask": FieldPipeline([WholeImage(), Halves()], joint_with="image")})
    image, mask = next(iter(loader))
    assert (np.asarray(image[:, 0]) // 64 == mask[..., 0]).all()


class FlipsSome(Operation):
    """As users of FFCV write them; says nothing of where pixels go."""

    def declare_state_and_memory(self, previous_state):
        return previous_state, None

    def generate_code(self):
        def flip(images, _):
            return images[:, :, ::-1] if np.random.rand() < 0.5 else images[:, :, ::1]

        return flip


class SaysItKeeps(FlipsSome):
    geometric = False


class RandomVerticalFlip(ChunkOperation):
    """Called as one of the project's is."""

    def declare_state_and_memory(self, previous_state):
        return previous_state, AllocationQuery(previous_state.shape, previous_state.dtype)

    def run(self, source, target, chunk):
        target[:] = source[:, ::-1]


class OwnJitter(ColorJitter):
    keeps_classes = True  # or no mask gets that far


@pytest.mark.parametrize("kind", [FlipsSome, RandomVerticalFlip, OwnJitter])
def test_F8_a_users_operation_must_say_whether_it_moves_pixels(beton, kind):
    plain, image = [WholeImage(), *TO_TENSOR], [WholeImage(), kind(), *TO_TENSOR]
    advice = "let its class say geometric = False"
    refused(
        beton, {"image": image, "mask": plain}, rf"but there it is {kind.__name__} \(if it moves no pixels, {advice}\)"
    )
    joint = {"image": image, "mask": FieldPipeline(image, joint_with="image")}
    refused(beton, joint, rf"cannot follow \S*{kind.__name__}, which does not say whether it moves pixels; {advice}")
    load(beton, {"image": image, "mask": "disabled"})
    said = kind()
    said.geometric = False
    load(beton, {"image": [WholeImage(), said, *TO_TENSOR], "mask": plain})
    load(beton, {"image": [WholeImage(), SaysItKeeps(), *TO_TENSOR], "mask": plain})


class Does(nn.Module):
    """A module of a user's, that draws nothing."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, batch):
        return self.function(batch)


MOVED = {
    "flip": lambda x: x.flip(-1),
    "both": lambda x: x.flip(-1, -2),
    "roll": lambda x: x.roll(1, -2),
    "turn": lambda x: x.rot90(1, (-2, -1)),
    "transpose": lambda x: x.transpose(-1, -2),
    "half": lambda x: torch.cat([x[..., 12:], x[..., :12]], -1),
    "some": lambda x: torch.cat([x[:, :1].flip(-2), x[:, 1:]], 1),
    "zoom": lambda x: functional.interpolate(x[..., 2:-2, 2:-2], (SIDE, SIDE), mode="bilinear"),
}
KEPT = {
    "scale": lambda x: x * 2 - 1,
    "statistics": lambda x: (x - x.mean((-1, -2), keepdim=True)) / x.std((-1, -2), keepdim=True),
    "invert": lambda x: x.amax() - x,
    "blur": lambda x: functional.avg_pool2d(x, 3, 1, 1),
    "threshold": lambda x: (x > 0.5).float(),
    "gray": lambda x: x.mean(1, keepdim=True),
    "in place": lambda x: x.mul_(0.5),
    "by place": lambda x: x * torch.linspace(0.5, 1, SIDE),
    "last": lambda x: x.permute(0, 2, 3, 1),
    "nothing": lambda x: torch.zeros_like(x),
}


@pytest.mark.parametrize("name", [*MOVED, *KEPT])
def test_F8_of_a_module_that_draws_nothing_it_is_found_out_whether_it_moves_pixels(beton, name):
    module = Does((MOVED | KEPT)[name])
    pipelines = {"image": [WholeImage(), *TO_FLOAT, module], "mask": [WholeImage(), *TO_FLOAT]}
    if name in KEPT:
        load(beton, pipelines)
        return
    doubt = r"\(if it moves no pixels, let its class say geometric = False\)"
    refused(beton, pipelines, rf"is nothing, but there it is Does\(.*\) {doubt}")
    with pytest.raises(PipelineError, match=rf"Does\(.*\) {doubt} would tear 'image' and 'mask' apart"):
        on_device(beton, {"image": [module]}, {"image": [WholeImage(), *TO_FLOAT], "mask": [WholeImage(), *TO_TENSOR]})
    module.geometric = False
    load(beton, pipelines)


def test_F8_a_module_is_tried_on_what_it_is_given(beton):
    last = [WholeImage(), ToTensor()]  # (H, W, C)
    refused(beton, {"image": [*last, Does(lambda x: x.flip(2))]}, "is nothing, but there it is Does")
    load(beton, {"image": [*last, Does(lambda x: x.flip(3))]})  # channels
    masks = [WholeImage(), ToTensor(), Squeeze(3), Convert("int64")]
    load(beton, {"image": [WholeImage()], "mask": [*masks, Does(lambda x: functional.one_hot(x, 4))]})
    refused(
        beton, {"image": [WholeImage()], "mask": [*masks, Does(lambda x: x.flip(1))]}, "1 is Does.* there it is nothing"
    )


@pytest.mark.parametrize("name", ["found", "face_keypoints", "annotations", "attention_mask"])
def test_F8_boxes_and_points_are_known_by_type_or_name(beton, name):
    def pipelines(**more):
        return {"image": [RandomResizedCrop(16)], "mask": "disabled"} | more

    if name in ("annotations", "attention_mask"):  # which nothing can know
        load(beton, pipelines(), keep=[name])
        return
    message = f"'{name}': it holds places .* leave the pixels of 'image' where they are, or say joint_with: disabled"
    refused(beton, pipelines(), message, keep=[name])
    refused(beton, pipelines(**{name: FieldPipeline(joint_with="image")}), "no operation moves arrays", keep=[name])
    load(beton, pipelines(**{name: FieldPipeline(joint_with="disabled")}), keep=[name])
    for still in ([WholeImage(), ColorJitter(0.5)], [CenterCrop(SIDE)], [Resize([SIDE, SIDE])]):
        load(beton, pipelines(image=still), keep=[name])


def test_F8_equal_operations_that_draw_nothing_need_not_be_joint(beton):
    loader = load(beton, {"image": [Resize([12, 16])], "mask": [Resize([12, 16])]})
    assert loader.pictures["mask"].together == {"image"}
    refused(
        beton, {"image": [Resize([12, 16])], "mask": [Resize([16, 12])]}, r"is Resize\(size=\(16, 12\)\), but there"
    )
    twice = {"image": [RandomResizedCrop(16)], "mask": [RandomResizedCrop(16)]}
    refused(beton, twice, r"each has a RandomResizedCrop\(.*\) of its own; say joint_with: image")


def test_F8_it_is_enough_that_a_mask_lies_on_one_output_of_images(beton):
    flipped = FieldPipeline([WholeImage(), RandomHorizontalFlip()], source="image", views=2)
    pipelines = {"image": [WholeImage()], "views": flipped}
    assert load(beton, pipelines).pictures["mask"].together == {"image"}
    refused(beton, pipelines | {"image": "disabled"}, "it holds places in 'views'")
    joint = FieldPipeline([WholeImage(), RandomHorizontalFlip()], joint_with="views", views=2)
    assert load(beton, pipelines | {"image": "disabled", "mask": joint}).pictures["mask"].together == {"views"}


def test_F8_outputs_that_start_from_anothers_result_carry_its_moves(beton):
    flip = RandomHorizontalFlip()
    pipelines = {
        "image": FieldPipeline([WholeImage(), RandomHorizontalFlip(), ToTensor()], joint_with="mask"),
        "mask": [WholeImage(), flip, ToTensor()],
        "classes": PipelineSpec(flip, transforms=[ToTensor()]),
    }
    loader = load(beton, pipelines)
    assert {"image"} == loader.pictures["classes"].together
    refused(beton, pipelines | {"classes": PipelineSpec(flip, transforms=[RandomHorizontalFlip()])}, "'classes'")


@pytest.mark.parametrize("module", MODULES_THAT_MOVE, ids=named)
@pytest.mark.parametrize("where", ["both", "image", "mask", "third"])
def test_F9_random_modules_that_move_pixels_are_refused_in_joint_outputs(beton, module, where):
    plain = [WholeImage(), RandomHorizontalFlip(), *TO_FLOAT]
    moved = {"both": ("image", "mask"), "third": ("third",)}.get(where, (where,))
    of = {name: [*plain, module] if name in moved else plain for name in ("image", "mask", "third")}
    pipelines = {
        "image": of["image"],
        "mask": FieldPipeline(of["mask"], joint_with="image"),
        "third": FieldPipeline(of["third"], source="mask", joint_with="mask"),
    }
    message = f"joint with 'image', cannot follow the torch module {named(module)}, which draws for itself; use one of"
    try:
        load(beton, {**pipelines, "mask": FieldPipeline(of["mask"], joint_with="disabled"), "third": "disabled"})
    except PipelineError as error:  # not every one takes masks
        assert "failed on a batch of two" in str(error)
        return
    refused(beton, pipelines, re.escape(message))


@pytest.mark.parametrize("module", MODULES_OF_VALUES, ids=named)
def test_F9_modules_that_change_values_are_welcome_in_joint_outputs(beton, module):
    image = [WholeImage(), RandomHorizontalFlip(), *TO_FLOAT, module]
    load(beton, {"image": image, "mask": FieldPipeline([WholeImage(), RandomHorizontalFlip()], joint_with="image")})


class Noise(nn.Module):
    def forward(self, batch):
        return batch + torch.rand_like(batch)


class DeclaredNoise(Noise):
    geometric = False


def test_F9_a_random_module_of_the_users_says_that_it_moves_nothing(beton):
    pipelines = {
        "image": [WholeImage(), *TO_FLOAT, Noise()],
        "mask": FieldPipeline([WholeImage()], joint_with="image"),
    }
    refused(beton, pipelines, "let its class say geometric = False")
    load(beton, {**pipelines, "image": [WholeImage(), *TO_FLOAT, DeclaredNoise()]})


@pytest.mark.parametrize("module", MODULES_THAT_RESIZE[:3], ids=named)
def test_F9_modules_that_move_pixels_without_a_draw_must_be_equal(beton, module):
    def pipelines(mask):
        return {"image": [WholeImage(), *TO_FLOAT, module], "mask": FieldPipeline(mask, joint_with="image")}

    load(beton, pipelines([WholeImage(), *TO_FLOAT, module]))
    refused(beton, pipelines([WholeImage()]), rf"is nothing, but in 'image', .* it is {named(module)}\(")
    other = type(module)(6)
    refused(beton, pipelines([WholeImage(), *TO_FLOAT, other]), rf"operation 1 is {named(module)}\(.*make them equal")


def test_F9_a_resize_may_interpolate_in_another_way(beton):
    image, mask = v2.Resize((20, 20), antialias=True), v2.Resize((20, 20), v2.InterpolationMode.NEAREST)
    mask = FieldPipeline([WholeImage(), *TO_TENSOR, mask], joint_with="image")
    load(beton, {"image": [WholeImage(), *TO_TENSOR, image], "mask": mask})


# -- on the device

STILL = {"image": [WholeImage(), *TO_TENSOR], "mask": [WholeImage(), ToTensor(), Squeeze(3)]}


def on_device(beton, modules, pipelines=STILL, **options) -> tuple[Loader, DeviceTransforms]:
    loader = load(beton, pipelines, **options)
    return loader, DeviceTransforms("train", modules, loader.output_names, loader.pictures)


@pytest.mark.parametrize("outputs", [("image",), ("mask",), ("image", "mask")])
@pytest.mark.parametrize("module", [v2.RandomHorizontalFlip(), v2.RandomCrop(20), Noise()], ids=named)
def test_F9_device_transforms_by_output_must_not_tear_apart(beton, module, outputs):
    pipelines = STILL | {"mask": [WholeImage(), *TO_TENSOR]}
    with pytest.raises(PipelineError, match="of train: .* would tear 'image' and 'mask' apart.* a list for the whole"):
        on_device(beton, {output: [module] for output in outputs}, pipelines)
    alone = pipelines | {"mask": FieldPipeline(pipelines["mask"], joint_with="disabled")}
    on_device(beton, {output: [module] for output in outputs}, alone)


def test_F9_device_transforms_by_output_may_change_values_and_be_equal(beton):
    on_device(beton, {"image": [v2.ColorJitter(0.5), v2.RandomErasing(), DeclaredNoise()]})
    pipelines = STILL | {"mask": [WholeImage(), *TO_TENSOR]}
    on_device(beton, {"image": [v2.CenterCrop(8)], "mask": [v2.CenterCrop(8)]}, pipelines)
    with pytest.raises(PipelineError, match="CenterCrop.* would tear"):
        on_device(beton, {"image": [v2.CenterCrop(8)], "mask": [v2.CenterCrop(9)]}, pipelines)


@pytest.mark.parametrize(
    "module",
    [
        v2.RandomHorizontalFlip(1.0),
        v2.RandomVerticalFlip(1.0),
        v2.RandomCrop(20),
        v2.RandomResizedCrop(SIDE, interpolation=v2.InterpolationMode.NEAREST),
        v2.RandomRotation(40),
        v2.Compose([v2.RandomHorizontalFlip(1.0), v2.RandomCrop(20)]),
    ],
    ids=named,
)
def test_F9_a_list_for_the_whole_batch_moves_images_and_masks_alike_and_nothing_else(beton, module):
    loader, transforms = on_device(
        beton, [module], keep=["label"], pipelines=STILL | {"label": [ToTensor(), Squeeze()]}
    )
    label, image, mask = batch = next(iter(loader))
    moved_label, moved_image, moved_mask = transforms(batch, key=5)
    assert torch.equal(moved_label, label)  # the first tensor, which torchvision takes for the image
    assert type(moved_image) is type(moved_mask) is torch.Tensor
    assert torch.equal(moved_image[:, 0] // 64, moved_mask)
    assert moved_mask.shape != mask.shape or not torch.equal(moved_mask, mask)


def test_F9_a_list_for_the_whole_batch_refuses_what_it_cannot_move(beton):
    flip = v2.RandomHorizontalFlip()
    with pytest.raises(PipelineError, match=r"cannot move 'mask', \(24, 24, 1\), as it moves .* or Squeeze"):
        on_device(beton, [flip], STILL | {"mask": [WholeImage(), ToTensor()]})
    with pytest.raises(PipelineError, match="cannot move 'found', which are no images: say joint_with: disabled"):
        on_device(beton, [flip], keep=["found"])
    stays = STILL | {"found": FieldPipeline(joint_with="disabled")}
    on_device(beton, [flip, v2.ColorJitter(0.5)], stays, keep=["found"])


def test_F9_the_data_module_refuses_before_the_first_batch(beton):
    pipelines = STILL | dict.fromkeys(ARRAYS, "disabled")
    data = FFCVDataModule(
        8,
        train_manager=FFCVPipelineManager(beton, pipelines),
        device_transforms={"train": {"image": [v2.RandomHorizontalFlip()]}},
    )
    with pytest.raises(PipelineError, match="device transforms of train: RandomHorizontalFlip would tear"):
        data.train_dataloader()
