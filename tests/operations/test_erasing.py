import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import v2

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations import Cutout, RandomErasing
from ffcv_hydra.operations.operation import State


def boxes_of(changed: np.ndarray) -> np.ndarray:
    """int64 (N, 4): top, left, height, width of what is True in (N, H, W); a box that fills it."""
    rows, columns = changed.any(2), changed.any(1)
    sizes = np.stack([rows.sum(1), columns.sum(1)], axis=1)
    assert (changed.sum((1, 2)) == sizes.prod(1)).all()
    return np.concatenate([rows.argmax(1)[:, None], columns.argmax(1)[:, None], sizes], axis=1)


def test_T2_cutout_paints_a_square_inside_a_copy(apply):
    images = np.full((3_000, 9, 12, 3), 50, dtype=np.uint8)
    cut = apply(Cutout(4, [1, 2, 3]), images)
    changed = (cut != 50).any(3)
    assert (cut[changed] == [1, 2, 3]).all()
    top, left, height, width = boxes_of(changed).T
    assert (height == 4).all() and (width == 4).all()
    places = np.bincount(9 * top + left, minlength=6 * 9)
    assert len(places) == 6 * 9 and stats.chisquare(places).pvalue > 0.001


def test_cutout_of_nothing_and_of_everything(apply, noise):
    assert np.array_equal(apply(Cutout(0), noise), noise)
    assert (apply(Cutout(13, 5), np.ascontiguousarray(noise[:, :, :13])) == 5).all()
    wide = noise.astype(np.float32)
    assert (apply(Cutout(3, -0.5), wide) == -0.5).any() and (apply(Cutout(3), wide[..., :1].copy()) == 0).any()


def test_erased_boxes_are_distributed_as_torchvisions(apply):
    count, height, width, scale, ratio = 4_000, 60, 40, (0.02, 0.33), (0.3, 3.3)
    images = np.zeros((count, height, width, 1), dtype=np.uint8)
    ours = boxes_of(apply(RandomErasing(1.0, scale, ratio, 1), images, seed=9)[..., 0] == 1)
    transform, image = v2.RandomErasing(1, scale, ratio), torch.empty(3, height, width)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [transform.make_params([image]) for _ in range(count)]
    theirs = np.array([[d["i"], d["j"], d["h"], d["w"]] for d in drawn])
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > 0.001
    assert stats.ks_2samp(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3]).pvalue > 0.001
    assert stats.ks_2samp(ours[:, 2] / ours[:, 3], theirs[:, 2] / theirs[:, 3]).pvalue > 0.001


def test_erasing_happens_with_the_probability_and_inside_the_box_alone(apply):
    images = np.full((2_000, 20, 30, 3), 50, dtype=np.uint8)
    erased = apply(RandomErasing(0.3, value=[1, 2, 3]), images)
    changed = (erased != 50).any(3)
    assert (erased[changed] == [1, 2, 3]).all()
    boxes = boxes_of(changed)
    assert stats.binomtest(int((boxes[:, 2] > 0).sum()), len(images), 0.3).pvalue > 0.001
    assert np.array_equal(apply(RandomErasing(0.0), images), images)


def test_random_values_are_uniform_for_each_pixel_and_channel(apply):
    images = np.full((200, 30, 30, 3), 50, dtype=np.uint8)
    noisy = apply(RandomErasing(1.0, [0.3, 0.3], [1, 1], value="random"), images)
    painted = apply(RandomErasing(1.0, [0.3, 0.3], [1, 1], value=0), images)[..., 0] == 0
    assert (noisy[~painted] == 50).all()
    values = noisy[painted]
    assert stats.chisquare(np.bincount(values.reshape(-1), minlength=256)).pvalue > 0.001
    assert abs(np.corrcoef(values.T) - np.eye(3)).max() < 0.02
    assert abs(np.corrcoef(values[1:, 0], values[:-1, 0])[0, 1]) < 0.02


def test_a_box_that_never_fits_is_left_out(apply, noise):
    assert np.array_equal(apply(RandomErasing(1.0, [1.0, 1.0]), noise), noise)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Cutout(-1), "Cutout: crop_size is a number of pixels from 0 on; got -1"),
        (lambda: Cutout(4, "red"), "Cutout: fill is a number, or a list of one per channel; got red"),
        (lambda: RandomErasing(2), "RandomErasing: p is a number, at least 0, at most 1; got 2"),
        (lambda: RandomErasing(scale=[0.5, 1.5]), "scale is .smallest, largest., at least 0, at most 1"),
        (lambda: RandomErasing(ratio=[0, 1]), "RandomErasing: ratio is .smallest, largest., above 0"),
        (lambda: RandomErasing(value="noise"), "value is a number, a list of one per channel, or random; got noise"),
    ],
)
def test_impossible_arguments_are_named(make, message):
    with pytest.raises(PipelineError, match=message):
        make()


@pytest.mark.parametrize(
    "operation, dtype, message",
    [
        (Cutout(10), np.uint8, "crop_size 10 does not fit into images of 9 x 12 pixels"),
        (Cutout(3, [1, 2]), np.uint8, "fill has 2 values, but images have 3 channels"),
        (RandomErasing(value=300), np.uint8, "value 300: uint8 images hold integers up to 255"),
        (RandomErasing(value="random"), np.float32, "value random takes uint8 images"),
    ],
)
def test_images_that_do_not_fit_are_refused(operation, dtype, message):
    with pytest.raises(PipelineError, match=message):
        operation.declare_state_and_memory(State(True, torch.device("cpu"), (9, 12, 3), np.dtype(dtype)))
