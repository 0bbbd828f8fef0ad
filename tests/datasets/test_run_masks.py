import numpy as np
import pytest
from scipy import ndimage

from ffcv_hydra.datasets.run_masks import mask_of_runs, outlines_of
from tests.loader.test_places_and_pixels import covers


def blobs(seed: int, share: float = 0.5) -> np.ndarray:
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 40, 2)
    return random.random((height, width)) < share


@pytest.mark.parametrize("seed", range(20))
def test_masks_are_those_that_pycocotools_has_packed(seed):
    masks = pytest.importorskip("pycocotools.mask")
    mask = blobs(seed, [0.01, 0.5, 0.99, 0, 1][seed % 5])
    mask = mask.repeat(1 + seed, axis=seed % 2)  # long runs have several letters
    packed = masks.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert np.array_equal(mask_of_runs(packed, *mask.shape), mask)
    flat = np.concatenate([[False], mask.T.ravel(), [not mask.T.ravel()[-1]]])
    ends = np.flatnonzero(np.diff(flat))
    assert np.array_equal(mask_of_runs(np.diff(ends, prepend=0).tolist(), *mask.shape), mask)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([3, 2], "are of 5 pixels, not of 2 x 3"),
        ([7, -1], "are no lengths"),
        ([1.5, 4.5], "are no lengths"),
        ("\n", "are no packed lengths"),
        ("0\x7f", "are no packed lengths"),
        ("5o", "end within a number"),
        ("o" * 20 + "0", "are more than any mask has pixels"),
        ([2**62] * 4, "are of 18446744073709551616 pixels"),
    ],
)
def test_what_are_no_runs_of_a_mask_is_told(counts, told):
    with pytest.raises(ValueError, match=f"its counts {told}"):
        mask_of_runs(counts, 2, 3)


def test_no_part_of_a_large_mask_is_lost():
    mask, part = np.zeros((5200, 5200), dtype=bool), blobs(3)
    mask[5001 : 5001 + part.shape[0], 5001 : 5001 + part.shape[1]] = part
    found, expected = outlines_of(mask), outlines_of(part)
    assert {tuple(map(tuple, outline - 5001)) for outline in found} == {tuple(map(tuple, one)) for one in expected}


@pytest.mark.parametrize("seed", range(20))
def test_outlines_are_around_the_pixels_of_each_part(seed):
    mask = blobs(seed, 0.6)
    outlines = outlines_of(mask)
    parts, count = ndimage.label(mask)  # of pixels that share an edge
    expected = sum(ndimage.binary_fill_holes(parts == part + 1, np.ones((3, 3))).astype(int) for part in range(count))
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]] + 0.5
    found = np.zeros(mask.shape, dtype=int)
    for outline in outlines:
        steps = np.diff(outline, axis=0, append=outline[:1])
        assert outline.dtype == np.float32 and ((steps == 0).sum(axis=1) == 1).all()
        assert ((steps == 0) != np.roll(steps == 0, 1, axis=0)).all()  # each corner is one
        found += covers(outline, x, y)
    assert len(outlines) == count and np.array_equal(found, expected)
