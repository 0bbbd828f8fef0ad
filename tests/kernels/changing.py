"""Calls of the changes of single images, as image functions call them."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import Kernel


def changed(change: Kernel, source: np.ndarray, *amounts: float, further: tuple[int, ...] = ()) -> np.ndarray:
    """What a change makes of an image, uint8 (H, W, C).

    Args:
        change: of `kernels.images.changes`.
        source: the image.
        amounts: as the change takes them.
        further: the numbers behind the sizes.
    """
    target = np.empty_like(source)
    sizes, numbers = np.array([*source.shape, *further]), np.array(amounts, dtype=np.float64)
    before = source.copy()
    assert change(source.ctypes.data, target.ctypes.data, sizes.ctypes.data, numbers.ctypes.data) == 0
    assert np.array_equal(source, before)
    return target
