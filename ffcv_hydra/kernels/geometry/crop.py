"""Which part of an image to keep: boxes (top, left, height, width) in pixels, one per sample."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.random.generator import randint, uniform

_ATTEMPTS = 10


@device_function
def _random_box(key, height, width, min_scale, max_scale, min_ratio, max_ratio):
    area = float(height * width)
    log_min, log_max = np.log(min_ratio), np.log(max_ratio)
    for attempt in range(_ATTEMPTS):
        target = area * (min_scale + (max_scale - min_scale) * uniform(key, 2 * attempt))
        ratio = np.exp(log_min + (log_max - log_min) * uniform(key, 2 * attempt + 1))
        w = int(np.rint(np.sqrt(target * ratio)))
        h = int(np.rint(np.sqrt(target / ratio)))
        if 0 < w <= width and 0 < h <= height:
            top = randint(key, 2 * _ATTEMPTS, height - h + 1)
            left = randint(key, 2 * _ATTEMPTS + 1, width - w + 1)
            return top, left, h, w
    w, h = width, height
    if width < min_ratio * height:
        h = max(1, min(height, int(np.rint(width / min_ratio))))
    elif width > max_ratio * height:
        w = max(1, min(width, int(np.rint(height * max_ratio))))
    return (height - h) // 2, (width - w) // 2, h, w


@kernel("void(uint64[::1], int64[::1], int64[::1], float64, float64, float64, float64, int64[:, ::1])")
def random_resized_crop_boxes(keys, heights, widths, min_scale, max_scale, min_ratio, max_ratio, boxes):
    """Boxes with a random area and aspect ratio, distributed as in `torchvision.transforms.RandomResizedCrop`.

    Args:
        keys: uint64 (N,).
        heights, widths: int64 (N,), of the whole images.
        min_scale, max_scale: share of the image's area, uniform.
        min_ratio, max_ratio: width / height, log-uniform.
        boxes: int64 (N, 4), filled with top, left, height, width.

    After ten boxes that do not fit, the largest centred one with an allowed ratio is taken.
    """
    for n in range(len(keys)):
        top, left, h, w = _random_box(keys[n], heights[n], widths[n], min_scale, max_scale, min_ratio, max_ratio)
        boxes[n, 0] = top
        boxes[n, 1] = left
        boxes[n, 2] = h
        boxes[n, 3] = w
