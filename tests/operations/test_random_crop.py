import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from ffcv_hydra.kernels.random.generator import fold, key_of
from ffcv_hydra.operations import Chunk, RandomCrop, RandomTranslate
from ffcv_hydra.operations.base import Scratch

HEIGHT, WIDTH = 10, 12


@pytest.fixture(scope="module")
def positions() -> np.ndarray:
    """int32 (4000, 10, 12, 1): every pixel's own number from 1 on, so that a crop says where it is from."""
    image = np.arange(1, HEIGHT * WIDTH + 1, dtype=np.int32).reshape(HEIGHT, WIDTH, 1)
    return np.broadcast_to(image, (4_000, HEIGHT, WIDTH, 1)).copy()


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize("size, padding", [([10, 12], 4), ([7, 5], [3, 2]), ([11, 4], [0, 3, 3, 1])])
def test_each_crop_is_one_of_torchvisions_padded_image_and_all_are_as_likely(mode, size, padding, apply, positions):
    crops = apply(RandomCrop(size, padding, -7 if mode == "constant" else 0, mode), positions)
    tensor = torch.from_numpy(positions[0]).permute(2, 0, 1)
    padded = functional.pad(tensor, padding, -7, mode).permute(1, 2, 0).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(padded[..., 0], size)
    known = {window.tobytes(): place for place, window in enumerate(windows.reshape(-1, *size).copy())}
    counts = np.bincount([known[crop.tobytes()] for crop in crops], minlength=len(known))
    assert len(known) == windows.shape[0] * windows.shape[1]
    assert stats.chisquare(counts).pvalue > 0.001


def test_offsets_are_distributed_as_torchvisions(apply, positions):
    crops = apply(RandomCrop([7, 5]), positions)[:, 0, 0, 0] - 1
    ours = np.stack([crops // WIDTH, crops % WIDTH], axis=1)
    transform, image = v2.RandomCrop([7, 5]), torch.empty(1, HEIGHT, WIDTH)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [transform.make_params([image]) for _ in range(len(ours))]
    theirs = np.array([[d["top"], d["left"]] for d in drawn])
    for column in range(2):
        both = [np.bincount(offsets[:, column], minlength=8) for offsets in (ours, theirs)]
        assert stats.chi2_contingency(np.array(both)[:, np.array(both).sum(0) > 0]).pvalue > 0.001


def test_padding_beyond_the_image_repeats_it_as_numpy_does(apply):
    image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1)
    for mode in ("edge", "reflect", "symmetric"):
        padded = np.pad(image[0], ((9, 9), (9, 9), (0, 0)), mode)
        found = apply(RandomCrop([20, 21], 9, padding_mode=mode), image)
        assert np.array_equal(found[0], padded)
    assert (apply(RandomCrop(5, 2, padding_mode="reflect"), image[:, :1, :1]) == 0).all()


def test_translation_shifts_by_any_number_of_pixels_up_to_the_padding(apply, positions):
    shifted = apply(RandomTranslate(2, fill=0), positions)
    whole = np.pad(positions[0], ((2, 2), (2, 2), (0, 0)))
    places = {whole[y : y + HEIGHT, x : x + WIDTH].tobytes(): 5 * y + x for y in range(5) for x in range(5)}
    counts = np.bincount([places[image.tobytes()] for image in shifted], minlength=25)
    assert stats.chisquare(counts).pvalue > 0.001


def test_shifts_beyond_the_image_leave_nothing_of_it(apply, noise):
    shifted = apply(RandomTranslate(40, fill=[1, 2, 3]), noise)
    gone = (shifted == [1, 2, 3]).all((1, 2, 3))
    assert gone.sum() > len(noise) / 3
    for image, moved in zip(noise[~gone], shifted[~gone], strict=True):
        rows, columns = (np.flatnonzero((moved != [1, 2, 3]).any(2).any(axis)) for axis in (1, 0))
        part = moved[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        top, left = 0 if rows[-1] == 12 else 13 - len(rows), 0 if columns[-1] == 16 else 17 - len(columns)
        assert np.array_equal(part, image[top : top + len(rows), left : left + len(columns)])


def test_shifts_beyond_the_image_touch_nothing_beside_it(noise):
    images = np.full((3, *noise.shape[1:]), 77, dtype=np.uint8)
    for key in range(60):
        chunk = Chunk(np.arange(1), fold(key_of(key), 0), Scratch())
        RandomTranslate(40, 5).run(noise[:1], images[1:2], chunk)
        assert (images[[0, 2]] == 77).all()
