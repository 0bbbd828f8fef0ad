import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from ffcv_hydra.beton import MaskField
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.images import auto_augment as kernels
from ffcv_hydra.kernels.random.generator import fold, key_of
from ffcv_hydra.operations import Chunk, RandAugment, TrivialAugmentWide
from ffcv_hydra.operations.auto_augment import RAND_AUGMENT, TRIVIAL_AUGMENT_WIDE, magnitude_table
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.operations.operation import State
from tests.kernels.images.test_auto_augment import applied, draw

KEYS = fold(key_of(4), np.arange(2000, dtype=np.uint64))


def constant_of(name: str) -> int:
    return getattr(kernels, "".join("_" + c if c.isupper() else c for c in name).upper().strip("_"))


@pytest.mark.parametrize("num_bins", [2, 10, 31])
@pytest.mark.parametrize("height, width", [(32, 32), (224, 160), (331, 662)])
@pytest.mark.parametrize("space, ours", [(v2.RandAugment, RAND_AUGMENT), (v2.TrivialAugmentWide, TRIVIAL_AUGMENT_WIDE)])
def test_magnitudes_are_torchvisions(space, ours, num_bins, height, width):
    table = magnitude_table(ours, num_bins, height, width)
    reference = space._AUGMENTATION_SPACE  # not public, and yet what the transforms are known by
    assert sorted(map(constant_of, reference)) == list(range(kernels.NUM_OPERATIONS))
    for name, (magnitudes, signed) in reference.items():
        assert (kernels.SHEAR_X <= constant_of(name) <= kernels.SHARPNESS) == signed
        expected = magnitudes(num_bins, height, width)
        if expected is None:
            assert not table[constant_of(name)].any()
        else:
            assert np.allclose(table[constant_of(name)], expected.numpy(), rtol=1e-6, atol=1e-6)


def run(operation, source: np.ndarray) -> np.ndarray:
    target = np.empty_like(source)
    operation.run(source, target, Chunk(np.arange(len(source)), KEYS[: len(source)], Scratch()))
    return target


@pytest.mark.parametrize(
    "operation, space, num_ops, magnitude_bin",
    [(RandAugment(3, 9, fill=7), RAND_AUGMENT, 3, 9), (TrivialAugmentWide(fill=7), TRIVIAL_AUGMENT_WIDE, 1, -1)],
)
def test_each_image_goes_through_what_was_drawn_for_it(operation, space, num_ops, magnitude_bin):
    source = np.random.default_rng(0).integers(0, 256, (200, 19, 16, 3), dtype=np.uint8)
    operations, magnitudes = np.empty((200, num_ops), dtype=np.int64), np.empty((200, num_ops))
    table = magnitude_table(space, 31, 19, 16)
    draw(KEYS[:200], magnitude_bin, table.ravel(), 31, operations, magnitudes)
    expected = np.stack([applied(*image, 7) for image in zip(source, operations, magnitudes, strict=True)])
    assert np.array_equal(run(operation, source), expected)
    assert len(np.unique(np.abs(magnitudes[operations == kernels.ROTATE]))) > 1 or magnitude_bin >= 0


def test_masks_are_warped_alone():
    source, operation = np.random.default_rng(0).integers(0, 9, (200, 19, 16, 1), dtype=np.uint8), RandAugment(3, 20)
    operations, magnitudes = np.empty((200, 3), dtype=np.int64), np.empty((200, 3))
    draw(KEYS[:200], 20, magnitude_table(RAND_AUGMENT, 31, 19, 16).ravel(), 31, operations, magnitudes)
    operations[operations > kernels.ROTATE] = kernels.IDENTITY
    expected = np.stack([applied(*image, 0) for image in zip(source, operations, magnitudes, strict=True)])
    assert not np.array_equal(run(operation, source), expected)
    operation.accept_field(MaskField())
    assert np.array_equal(run(operation, source), expected)


def test_no_operations_change_nothing_and_more_change_more():
    source = np.random.default_rng(0).integers(0, 256, (500, 16, 17, 3), dtype=np.uint8)
    assert np.array_equal(run(RandAugment(0), source), source)
    # one of 14 is the identity; some others leave noise nearly as it is
    shares = [(run(RandAugment(num_ops), source) != source).any(axis=(1, 2, 3)).mean() for num_ops in (1, 2, 4)]
    assert 0.7 < shares[0] < shares[1] < shares[2]


def test_fill_is_one_value_or_one_per_channel():
    source = np.full((2000, 16, 17, 3), 100, dtype=np.uint8)
    colours = {tuple(pixel) for pixel in run(RandAugment(1, 30, fill=[1, 2, 3]), source).reshape(-1, 3)}
    assert (1, 2, 3) in colours
    with pytest.raises(PipelineError, match="fill has 3 values, but images have 1 channels"):
        RandAugment(fill=[1, 2, 3]).declare_state_and_memory(
            State(True, torch.device("cpu"), (16, 16, 1), np.dtype("u1"))
        )
