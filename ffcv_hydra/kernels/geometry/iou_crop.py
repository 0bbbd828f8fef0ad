"""Parts of images that boxes lie in, by how much of one they hold: the crops of SSD (Liu et al., arXiv:1512.02325)."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.geometry.places import to_corners
from ffcv_hydra.kernels.random.generator import randint, uniform

_ROUNDS = 100  # in each an option is drawn; of the usual ones, one in seven takes the whole image


@device_function
def _largest_iou(boxes, count, left, top, right, bottom):
    """The largest intersection over union of a crop and a box with its centre in it; -1 if there is no such box."""
    largest = -1.0
    for place in range(0, 4 * count, 4):
        x1, y1 = np.float64(boxes[place]), np.float64(boxes[place + 1])
        x2, y2 = np.float64(boxes[place + 2]), np.float64(boxes[place + 3])
        if left < 0.5 * (x1 + x2) < right and top < 0.5 * (y1 + y2) < bottom:
            width, height = min(x2, right) - max(x1, left), min(y2, bottom) - max(y1, top)
            shared = max(0.0, width) * max(0.0, height)
            largest = max(largest, shared / ((x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - shared))
    return largest


@device_function
def _most_iou(boxes, count, height, width, bounds):
    """What no intersection over union of a crop and a box exceeds: with the sides that come nearest to a box's."""
    low_w, high_w = max(1.0, np.floor(width * bounds[0])), width * bounds[1]
    low_h, high_h = max(1.0, np.floor(height * bounds[0])), height * bounds[1]
    most = 0.0
    for place in range(0, 4 * count, 4):
        wide = np.float64(boxes[place + 2]) - np.float64(boxes[place])
        tall = np.float64(boxes[place + 3]) - np.float64(boxes[place + 1])
        w, h = min(max(wide, low_w), high_w), min(max(tall, low_h), high_h)
        shared = min(w, wide) * min(h, tall)
        most = max(most, shared / (wide * tall + w * h - shared))
    return most + 1e-6  # whatever is rounded


@device_function
def _find_crop(key, height, width, boxes, count, bounds, options, trials, crop):
    """Write the first crop that is allowed, if one is found; nothing is tried for options that no crop can fulfil."""
    most = _most_iou(boxes, count, height, width, bounds)
    for number in range(_ROUNDS):
        first = number * (1 + 4 * trials)
        least = options[randint(key, first, len(options))]
        if least >= 1:
            return
        if least > most:
            continue
        for draw in range(first + 1, first + 1 + 4 * trials, 4):
            w = np.int64(width * (bounds[0] + (bounds[1] - bounds[0]) * uniform(key, draw)))
            h = np.int64(height * (bounds[0] + (bounds[1] - bounds[0]) * uniform(key, draw + 1)))
            if w < 1 or h < 1 or not bounds[2] <= w / h <= bounds[3]:
                continue
            left = np.int64((width - w) * uniform(key, draw + 2))
            top = np.int64((height - h) * uniform(key, draw + 3))
            if _largest_iou(boxes, count, left, top, left + w, top + h) >= max(0.0, least):
                crop[0], crop[1], crop[2], crop[3] = top, left, h, w
                return


@kernel(
    "void(uint64[::1], int64[::1], int64[::1], float32[:, ::1], int64[::1], int64, float64[::1], float64[::1], int64,"
    " int64[:, ::1])"
)
def random_iou_crops(keys, heights, widths, boxes, counts, box_format, bounds, options, trials, crops):
    """Crops with the centre of a box in them, of which one has an intersection over union that is drawn, or more.

    Distributed as in `torchvision.transforms.v2.RandomIoUCrop`. The whole image, where there is no box, and where so
    many crops were tried that there can hardly be one.

    Args:
        keys: uint64 (N,).
        heights, widths: int64 (N,), of the whole images.
        boxes: float32 (N, at least 4 * counts[n]), of `box_format`; overwritten.
        counts: int64 (N,), of boxes.
        bounds: float64 (4,): smallest and largest share of height and of width, uniform; and of width / height.
        options: float64 (K,), from which the least intersection over union is drawn; from 1 on: the whole image.
        trials: crops that are tried for one that is drawn.
        crops: int64 (N, 4), filled with top, left, height, width.
    """
    for n in range(len(keys)):
        for place in range(0, 4 * counts[n], 4):
            to_corners(boxes[n], place, box_format)
        crops[n, 0] = crops[n, 1] = 0
        crops[n, 2], crops[n, 3] = heights[n], widths[n]
        if counts[n] > 0:
            _find_crop(keys[n], heights[n], widths[n], boxes[n], counts[n], bounds, options, trials, crops[n])
