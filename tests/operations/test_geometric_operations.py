"""What all operations that move pixels have in common."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations import (
    ChunkOperation,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    RandomTranslate,
    RandomVerticalFlip,
)
from ffcv_hydra.operations.operation import State

MAKE: list[Callable[..., ChunkOperation]] = [
    lambda **_: RandomHorizontalFlip(),
    lambda **_: RandomVerticalFlip(),
    lambda **fill: RandomCrop([9, 12], [2, 1, 0, 3], **fill),
    lambda **fill: RandomCrop(8, 3, padding_mode="reflect", **fill),
    lambda **fill: RandomTranslate(4, **fill),
    lambda **fill: RandomRotation(40, **fill),
    lambda **fill: RandomAffine(20, [0.2, 0.1], [0.7, 1.4], [-10, 10, -5, 5], **fill),
]
each = pytest.mark.parametrize("make", MAKE, ids=lambda make: type(make()).__name__)


@each
def test_says_that_it_is_geometric_and_what_decides_it(make):
    operation = make()
    assert operation.random and operation.geometric and operation.joint_parameters
    assert all(hasattr(operation, name) for name in operation.joint_parameters)
    assert not {"fill", "interpolation", "padding_mode"} & set(operation.joint_parameters)


@each
def test_an_image_and_its_mask_move_alike(make, apply, noise):
    mask = np.ascontiguousarray(noise[..., :1])
    moved = apply(make(), noise)
    assert np.array_equal(apply(make(), mask), moved[..., :1])
    assert not np.array_equal(apply(make(), mask, seed=1), moved[..., :1])


@each
@pytest.mark.parametrize("dtype", [np.uint16, np.int64, np.float32, np.float16])
def test_other_dtypes_move_alike(make, dtype, apply, noise):
    assert np.array_equal(apply(make(), noise.astype(dtype)), apply(make(), noise).astype(dtype))


@each
def test_T2_T8_the_result_depends_on_keys_alone(make, apply, noise):
    whole = apply(make(), noise)
    parts = np.concatenate([apply(make(), noise[begin : begin + 7], start=begin) for begin in range(0, len(noise), 7)])
    assert np.array_equal(whole, parts)


@pytest.mark.parametrize("make", MAKE[2:], ids=lambda make: type(make()).__name__)
def test_the_fill_has_a_value_per_channel_and_moves_nothing(make, apply, noise):
    one, other = apply(make(), noise), apply(make(fill=[7, 8, 9]), noise)
    changed = (one != other).any(3)
    assert (other[changed] == [7, 8, 9]).all() and (one[changed] == 0).all()
    assert changed.any() or getattr(make(), "padding_mode", "") == "reflect"


def test_bilinear_interpolation_moves_as_nearest_does(apply):
    ramp = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[:, None, None], (20, 60, 60, 1)).copy()
    for make in MAKE[-2:]:
        nearest, bilinear = apply(make(fill=255), ramp), apply(make(fill=255, interpolation="bilinear"), ramp)
        inside = apply(make(fill=255, interpolation="bilinear"), np.zeros_like(ramp)) == 0
        assert inside.mean() > 0.5
        assert abs(nearest.astype(int) - bilinear)[inside].max() <= 6  # a pixel's step is 4 levels


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: RandomVerticalFlip("0.5"), "RandomVerticalFlip: p is a number, at least 0, at most 1; got 0.5"),
        (lambda: RandomCrop([8]), "RandomCrop: size is .height, width. in pixels, or one number"),
        (lambda: RandomCrop(8, [1, 2, 3]), "RandomCrop: padding is one, two or four numbers"),
        (lambda: RandomCrop(8, -1), "RandomCrop: padding is one, two or four numbers"),
        (lambda: RandomCrop(8, 1, "grey"), "RandomCrop: fill is a number, or a list of one per channel"),
        (lambda: RandomCrop(8, padding_mode="wrap"), "padding_mode is one of constant, edge, reflect, symmetric"),
        (lambda: RandomTranslate(1.5), "RandomTranslate: padding is a number of pixels from 0 on; got 1.5"),
        (lambda: RandomRotation(-5), "RandomRotation: degrees is a number, at least 0; got -5"),
        (lambda: RandomRotation([5, -5]), "RandomRotation: degrees is .smallest, largest.; got"),
        (lambda: RandomRotation(5, "cubic"), "RandomRotation: interpolation is one of nearest, bilinear; got cubic"),
        (lambda: RandomAffine(5, [0.1]), "RandomAffine: translate is a list of 2 numbers"),
        (lambda: RandomAffine(5, [0.1, 1.1]), "RandomAffine: translate is two shares from 0 to 1"),
        (lambda: RandomAffine(5, scale=[0, 1]), "RandomAffine: scale is .smallest, largest., above 0"),
        (lambda: RandomAffine(5, shear=90), "RandomAffine: shear is in degrees between -90 and 90"),
    ],
)
def test_impossible_arguments_are_named(make, message):
    with pytest.raises(PipelineError, match=message):
        make()


@pytest.mark.parametrize(
    "operation, shape, dtype, message",
    [
        (RandomCrop(14, 1), (11, 20, 3), np.uint8, "padded to 13 x 22, are smaller than size 14 x 14; raise padding"),
        (RandomCrop(4, 1, [1, 2]), (9, 9, 3), np.uint8, "fill has 2 values, but images have 3 channels"),
        (RandomTranslate(4, 256), (9, 9, 3), np.uint8, "fill 256: uint8 images hold integers up to 255"),
        (RandomTranslate(4, 0.5), (9, 9, 3), np.uint16, "fill 0.5: uint16 images hold integers up to 65535"),
        (
            RandomRotation(4, "bilinear"),
            (9, 9, 3),
            np.float64,
            "bilinear takes images of uint8, uint16, int16, float32; got .*float64.*; use near",
        ),
        (RandomRotation(4), (50_000, 50_000, 1), np.uint8, "takes images of less than 2 GiB; got uint8"),
        (RandomHorizontalFlip(), (9,), np.uint8, "takes .H, W. or .H, W, C."),
        (RandomTranslate(1), (9, 9), np.uint8, "takes images .H, W, C."),
    ],
)
def test_images_that_do_not_fit_are_refused(operation, shape, dtype, message):
    with pytest.raises(PipelineError, match=message):
        operation.declare_state_and_memory(State(True, torch.device("cpu"), shape, np.dtype(dtype)))
