"""Maps of places say the same as the pixels do, and as torchvision."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional
from torchvision.tv_tensors import BoundingBoxFormat

from ffcv_hydra.beton import MaskField
from ffcv_hydra.kernels.random.generator import fold, key_of
from ffcv_hydra.operations import (
    CenterCrop,
    RandAugment,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomTranslate,
    RandomVerticalFlip,
    Resize,
    ResizeShorterSide,
    TrivialAugmentWide,
)

HEIGHT, WIDTH, COUNT = 20, 33, 50
OPERATIONS = [
    RandomHorizontalFlip(), RandomVerticalFlip(), RandomTranslate(5), RandomCrop(14), RandomCrop([24, 9], [1, 2, 3, 4]),
    RandomRotation(180), RandomAffine(40, [0.2, 0.3], [0.6, 1.5], [-20, 20, -10, 10]), RandomAffine(0, [0.3, 0]),
    RandAugment(1, 30), TrivialAugmentWide(),
]  # fmt: skip


def keys(seed: int = 0) -> np.ndarray:
    return fold(key_of(seed), np.arange(COUNT, dtype=np.uint64))


def sizes(height: int = HEIGHT, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray]:
    return np.full(COUNT, height), np.full(COUNT, width)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
def test_each_pixel_is_where_its_place_is_mapped(operation, apply):
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    operation.accept_field(MaskField())  # of which policies change no values
    masks = [np.tile(mask.astype(np.uint8)[..., None], (COUNT, 1, 1, 1)) for mask in (columns, rows, rows * 0 + 1)]
    moved = np.concatenate([apply(operation, mask) for mask in masks], axis=3)
    matrices, heights, widths, *_ = operation.maps(*sizes(), keys())
    if matrices.ndim == 4:
        (matrices,) = matrices
    assert set(heights.tolist()) == {moved.shape[1]} and set(widths.tolist()) == {moved.shape[2]}
    assert (moved[..., 2] == 1).any((1, 2)).mean() > 0.8
    y, x = np.mgrid[: moved.shape[1], : moved.shape[2]] + 0.5
    for matrix, pixels in zip(matrices, moved, strict=True):
        inverse = np.linalg.inv(matrix[:, :2])
        places = np.stack([x, y], axis=-1) - matrix[:, 2]
        read = places @ inverse.T
        shown = pixels[..., 2] == 1
        assert (np.abs(read[shown] - (pixels[shown][:, :2] + 0.5)) <= 0.5 + 1e-9).all()
        beyond = read[~shown]
        outside = (beyond <= 1e-9) | (beyond >= [WIDTH - 1e-9, HEIGHT - 1e-9])
        assert outside.any(axis=1).all()


BOXES = torch.tensor([[3.0, 4.0, 20.0, 9.5], [0.0, 0.0, 33.0, 20.0], [30.5, 1.0, 31.0, 19.0]])


def around(matrix: np.ndarray) -> np.ndarray:
    """The boxes around `BOXES`' moved corners, clipped to the image, as those of torchvision's functions are."""
    x0, y0, x1, y1 = BOXES.double().numpy().T
    corners = np.stack([np.stack([x, y], 1) for x in (x0, x1) for y in (y0, y1)], 1) @ matrix[:, :2].T + matrix[:, 2]
    return np.clip(np.concatenate([corners.min(1), corners.max(1)], axis=1), 0, [WIDTH, HEIGHT] * 2)


@pytest.mark.parametrize("degrees", [-123.4, -17, 0, 31.3, 90, 180])
def test_rotation_moves_boxes_as_torchvisions(degrees):
    matrices, *_ = RandomRotation([degrees, degrees]).maps(*sizes(), keys())
    theirs, _ = functional.rotate_bounding_boxes(BOXES, BoundingBoxFormat.XYXY, (HEIGHT, WIDTH), degrees)
    assert np.allclose(around(matrices[0]), theirs, atol=1e-4)


@pytest.mark.parametrize("degrees, scale, shear", [(20, 0.8, [11, 11, -7, -7]), (-75, 1.7, [-30, -30]), (5, 1, None)])
def test_affine_maps_move_boxes_as_torchvisions(degrees, scale, shear):
    shears = [0, 0] if shear is None else [shear[0], shear[2] if len(shear) == 4 else 0]
    matrices, *_ = RandomAffine([degrees, degrees], None, [scale, scale], shear).maps(*sizes(), keys())
    theirs = functional.affine_bounding_boxes(
        BOXES, BoundingBoxFormat.XYXY, (HEIGHT, WIDTH), degrees, [0, 0], scale, shears
    )
    assert np.allclose(around(matrices[0]), theirs, atol=1e-4)


@pytest.mark.parametrize(
    "decoder", [RandomResizedCrop([12, 7]), CenterCrop(9, 0.7), Resize([5, 40]), ResizeShorterSide(13, [10, 30])],
    ids=lambda decoder: type(decoder).__name__,
)  # fmt: skip
def test_decoders_map_the_corners_of_what_they_keep_to_the_corners_of_the_output(decoder):
    heights, widths = np.random.default_rng(0).integers(15, 60, (2, COUNT))
    matrices, tall, wide, *_ = decoder.maps(heights, widths, keys())
    assert (tall == decoder.size[0]).all() and (wide == decoder.size[1]).all()
    parts, placed = decoder.boxes(heights, widths, keys()), decoder.placements(heights, widths)
    placed = np.broadcast_to(placed, (COUNT, 4))
    for matrix, (top, left, height, width), (high, long, above, before) in zip(matrices, parts, placed, strict=True):
        corners = np.array([[left, top], [left + width, top + height]])
        expected = [[-before, -above], [long - before, high - above]]
        assert np.allclose(corners @ matrix[:, :2].T + matrix[:, 2], expected)
