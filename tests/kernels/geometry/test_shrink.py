"""Whole images made smaller: OpenCV's INTER_AREA within a level. How pixels are weighed is `test_resize.py`'s."""

import cv2
import numpy as np
import pytest

from ffcv_hydra.kernels.geometry.shrink import shrink


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
@pytest.mark.parametrize(
    "before, after", [((40, 61), (20, 30)), ((40, 61), (40, 60)), ((7, 300), (1, 1)), ((9, 1), (4, 1))]
)
def test_images_are_shrunk_as_by_opencv(dtype, channels, before, after):
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (*before, *channels), dtype=dtype)
    found = shrink(image, *after)
    expected = cv2.resize(image, after[::-1], interpolation=cv2.INTER_AREA).reshape(found.shape)
    assert found.dtype == dtype and found.shape == (*after, *channels)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_arrays_need_not_be_contiguous_or_writable():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    image.flags.writeable = False
    assert np.array_equal(shrink(image[::-1, ::2], 9, 9), shrink(image[::-1, ::2].copy(), 9, 9))
