"""The project's image operations behind FFCV's and users' own, whose memory may say nothing of what they return."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ffcv.fields.rgb_image import CenterCropRGBImageDecoder
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.operation import Operation
from ffcv.transforms import Poison, RandomTranslate, ToTensor

from ffcv_hydra.errors import PipelineError, SampleError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, CutMix, Cutout, GaussianBlur, RandomCrop, RandomHorizontalFlip

pytestmark = pytest.mark.timeout(300)
SIZE = 24


class Invert(Operation):
    """Works in place, and asks for no memory."""

    def declare_state_and_memory(self, previous_state):
        return replace(previous_state, jit_mode=True), None

    def generate_code(self):
        def invert(images, _):
            images[:] = 255 - images
            return images

        return invert


class Lies(Operation):
    """Returns other images than it declares."""

    def declare_state_and_memory(self, previous_state):
        shape = (2 * SIZE, *previous_state.shape[1:])
        return replace(previous_state, jit_mode=True, shape=shape), AllocationQuery(shape, previous_state.dtype)

    def generate_code(self):
        def lie(images, _):
            return images

        return lie


def batches(beton, *operations, **options) -> torch.Tensor:
    pipelines = {"image": [*operations, ToTensor()], "label": "disabled", "array": "disabled"}
    return torch.cat([batch[0] for batch in Loader(beton, 16, pipelines=pipelines, num_workers=2, seed=3, **options)])


def test_an_operation_without_memory_of_its_own_may_come_first(beton):
    plain = batches(beton, CenterCrop(SIZE), RandomHorizontalFlip())
    assert torch.equal(batches(beton, CenterCrop(SIZE), Invert(), RandomHorizontalFlip()), 255 - plain)


def test_an_operation_with_memory_of_another_dtype_may_come_first(beton):
    mask = np.zeros((SIZE, SIZE, 3), dtype=np.float32)
    poison = Poison(mask, mask[..., 0], np.array([-1]))  # which changes no sample
    plain = batches(beton, CenterCrop(SIZE), RandomHorizontalFlip())
    assert torch.equal(batches(beton, CenterCrop(SIZE), poison, RandomHorizontalFlip()), plain)


def test_a_decoder_with_memory_of_two_kinds_may_come_first(beton):
    images = batches(beton, CenterCropRGBImageDecoder((SIZE, SIZE), 1.0), Cutout(4), replace_ffcv_operations=False)
    assert images.shape[1:] == (SIZE, SIZE, 3)
    assert ((images == 0).all(-1).flatten(1).sum(1) >= 16).all()


def test_an_operation_with_memory_of_another_shape_may_come_first(beton):
    paint = Cutout(SIZE, fill=(7, 7, 7))
    shift = RandomTranslate(2, fill=(7, 7, 7))
    crop = RandomCrop(SIZE, padding=4)
    images = batches(beton, CenterCrop(SIZE), paint, shift, crop, replace_ffcv_operations=False)
    assert set(images.unique().tolist()) <= {0, 7} and ((images == 7).flatten(1).sum(1) >= 3 * (SIZE - 4) ** 2).all()


class Gives(Operation):
    """Declares nothing new, and gives what a function makes of the images."""

    def __init__(self, function, jitted=True):
        super().__init__()
        self.function, self.jitted = function, jitted

    def declare_state_and_memory(self, previous_state):
        return replace(previous_state, jit_mode=self.jitted), None

    def generate_code(self):
        return self.function


def test_an_operation_that_returns_other_images_than_it_declared_is_an_error(beton):
    with pytest.raises(
        SampleError, match=r"Lies: .* declared uint8 \(16, 48, 24, 3\) and gave uint8 \(16, 24, 24, 3\)"
    ):
        batches(beton, CenterCrop(SIZE), Lies(), Cutout(4))


WRONG = {
    "too few": (lambda images, _: images[: len(images) - 1], r"\(15, 24, 24, 3\)"),
    "too many": (lambda images, _: np.concatenate((images, images)), r"\(32, 24, 24, 3\)"),
    "none": (lambda images, _: images[:0], r"\(0, 24, 24, 3\)"),
    "dtype": (lambda images, _: images.astype(np.float64), "gave float64"),
}


@pytest.mark.parametrize(
    "ours", [RandomHorizontalFlip(), GaussianBlur(3), CutMix()], ids=lambda ours: type(ours).__name__
)
@pytest.mark.parametrize("wrong", WRONG)
def test_F14_what_differs_from_the_declaration_is_an_error_that_names_the_operation(beton, wrong, ours):
    function, given = WRONG[wrong]
    with pytest.raises(
        SampleError,
        match=f"field 'image', one of the samples 0, 1, 2, 3, 4, 5, 6, 7, ...: Gives: .*declared uint8 .*{given}",
    ):
        batches(beton, CenterCrop(SIZE), Gives(function), ours)


@pytest.mark.parametrize("after", [[], [RandomHorizontalFlip()]], ids=["delivered", "before ours"])
def test_F14_the_last_batch_is_compared_with_its_own_length(beton, after):
    first_rows = Gives(lambda images, _: images[:16])
    assert len(batches(beton, CenterCrop(SIZE), first_rows, *after, indices=range(32))) == 32
    longer = Gives(lambda images, _: np.concatenate((images, images))[:16])
    with pytest.raises(SampleError, match=r"declared uint8 \(4, 24, 24, 3\) and gave uint8 \(8, 24, 24, 3\)"):
        batches(beton, CenterCrop(SIZE), longer, *after, indices=range(20))


def test_F14_tensors_and_what_is_no_array_are_compared_too(beton):
    for function, given in (
        (lambda images, _: images[1:], r"torch.uint8 \(15, 24, 24, 3\)"),
        (lambda images, _: images.float(), "torch.float32"),
        (lambda images, _: None, "NoneType"),
    ):
        with pytest.raises(SampleError, match=f"Gives: .*declared torch.uint8 .* and gave {given}"):
            list(Loader(beton, 16, pipelines={"image": [CenterCrop(SIZE), ToTensor(), Gives(function, jitted=False)]}))


class HalfOfTheRows(torch.nn.Module):
    def forward(self, batch):
        return batch[: len(batch) // 2]


def test_F14_a_module_that_gives_another_number_of_samples_is_refused_before_anything_runs(beton):
    with pytest.raises(
        PipelineError, match=r"HalfOfTheRows: failed .*expected a tensor of 2 samples, got \(1, 24, 24, 3\)"
    ):
        Loader(beton, 16, pipelines={"image": [CenterCrop(SIZE), ToTensor(), HalfOfTheRows()]})


def test_a_view_of_the_images_may_come_first(beton):
    view, copied = Gives(lambda images, _: images[:, :, ::-1]), Gives(lambda images, _: images[:, :, ::-1].copy())
    for ours in ([RandomHorizontalFlip()], [GaussianBlur(3)], [CutMix()]):
        assert torch.equal(
            batches(beton, CenterCrop(SIZE), view, *ours), batches(beton, CenterCrop(SIZE), copied, *ours)
        )
