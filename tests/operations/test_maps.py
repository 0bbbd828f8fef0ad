"""Maps of places say the same as the pixels do."""

import numpy as np
import pytest

from ffcv_hydra.beton import MaskField
from ffcv_hydra.kernels.random.generator import fold, key_of
from ffcv_hydra.operations import (
    RandAugment,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    RandomTranslate,
    RandomVerticalFlip,
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
