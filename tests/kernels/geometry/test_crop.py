import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import RandomResizedCrop

from ffcv_hydra.kernels.geometry.crop import random_resized_crop_boxes
from ffcv_hydra.kernels.random.generator import fold, key_of


def boxes_for(height: int, width: int, count: int, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)) -> np.ndarray:
    boxes = np.empty((count, 4), dtype=np.int64)
    keys = fold(key_of(1), np.arange(count, dtype=np.uint64))
    sizes = (np.full(count, side, dtype=np.int64) for side in (height, width))
    random_resized_crop_boxes(keys, *sizes, *scale, *ratio, boxes)
    return boxes


@pytest.mark.parametrize("height, width", [(375, 500), (500, 333), (32, 32), (7, 500), (500, 7), (1, 1), (2, 3)])
def test_boxes_lie_in_the_image(height, width):
    top, left, h, w = boxes_for(height, width, 2_000).T
    assert (top >= 0).all() and (left >= 0).all() and (h > 0).all() and (w > 0).all()
    assert (top + h <= height).all() and (left + w <= width).all()


@pytest.mark.parametrize(
    "height, width, scale, ratio",
    [
        (375, 500, (0.08, 1.0), (3 / 4, 4 / 3)),
        (500, 200, (0.08, 1.0), (3 / 4, 4 / 3)),
        (224, 224, (0.5, 0.9), (1.0, 1.0)),
        (300, 301, (0.05, 0.3), (0.2, 5.0)),
    ],
)
def test_boxes_are_distributed_as_torchvisions(height, width, scale, ratio):
    count = 4_000
    ours = boxes_for(height, width, count, scale, ratio)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        image = torch.empty(3, height, width)
        theirs = np.array([RandomResizedCrop.get_params(image, list(scale), list(ratio)) for _ in range(count)])
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > 0.001
    assert stats.ks_2samp(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3]).pvalue > 0.001
    assert stats.ks_2samp(ours[:, 3] / ours[:, 2], theirs[:, 3] / theirs[:, 2]).pvalue > 0.001


def test_an_image_that_no_box_fits_gives_the_largest_centred_one():
    assert boxes_for(10, 1_000, 1, scale=(1.0, 1.0)).tolist() == [[0, 493, 10, 13]]
