"""The project's image operations behind FFCV's and users' own, whose memory may say nothing of what they return."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ffcv.fields.rgb_image import CenterCropRGBImageDecoder
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.operation import Operation
from ffcv.transforms import Poison, RandomTranslate, ToTensor

from ffcv_hydra.errors import SampleError
from ffcv_hydra.loader import Loader
from ffcv_hydra.operations import CenterCrop, Cutout, RandomCrop, RandomHorizontalFlip

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
    options = {"num_workers": 2, "seed": 3, **options}
    return torch.cat(
        [batch[0] for batch in Loader(beton, 16, pipelines={"image": [*operations, ToTensor()]}, **options)]
    )


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


def test_an_operation_that_returns_other_images_than_it_declared_is_an_error(beton):
    with pytest.raises(SampleError, match=r"Lies declared uint8 \(48, 24, 3\) and gave uint8 \(24, 24, 3\)"):
        batches(beton, CenterCrop(SIZE), Lies(), Cutout(4))
