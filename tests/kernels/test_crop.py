import numpy as np
import pytest
import torch
from torchvision.transforms import RandomResizedCrop

from ffcv_hydra.kernels.crop import random_resized_crop_boxes
from ffcv_hydra.kernels.random import fold, key_of


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


@pytest.mark.parametrize("height, width", [(375, 500), (500, 200)])
def test_boxes_are_distributed_as_torchvisions(height, width):
    count = 4_000
    ours = boxes_for(height, width, count).astype(float)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        image = torch.empty(3, height, width)
        theirs = np.array(
            [RandomResizedCrop.get_params(image, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(count)], float
        )
    for column in range(4):
        for quantile in (0.1, 0.25, 0.5, 0.75, 0.9):
            difference = np.quantile(ours[:, column], quantile) - np.quantile(theirs[:, column], quantile)
            assert abs(difference) < 0.05 * max(height, width)
    assert abs(ours.mean(0) - theirs.mean(0)).max() < 0.02 * max(height, width)


def test_an_image_that_no_box_fits_gives_the_largest_centred_one():
    assert boxes_for(10, 1_000, 1, scale=(1.0, 1.0)).tolist() == [[0, 493, 10, 13]]
