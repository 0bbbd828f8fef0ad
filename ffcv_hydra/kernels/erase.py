"""Boxes of an image painted over: cutout and random erasing."""

import numpy as np

from ffcv_hydra.kernels.compilation import kernel
from ffcv_hydra.kernels.memory import copy_bytes
from ffcv_hydra.kernels.pointers import unowned
from ffcv_hydra.kernels.random import randint, uniform

_ATTEMPTS = 10
_AFTER_BOX = 3 + 2 * _ATTEMPTS  # the first draw that no box uses


@kernel("void(uint64[::1], int64, int64, int64, int64[:, ::1])", brief=True)
def draw_squares(keys, side, height, width, boxes):
    """A square wholly inside each image, anywhere with the same probability.

    Args:
        keys: uint64 (N,); draws 0 and 1 are top and left.
        side: of the square, in pixels, at most `height` and `width`.
        boxes: int64 (N, 4), filled with top, left, height, width.
    """
    for n in range(len(keys)):
        boxes[n, 0] = randint(keys[n], 0, height - side + 1)
        boxes[n, 1] = randint(keys[n], 1, width - side + 1)
        boxes[n, 2] = side
        boxes[n, 3] = side


@kernel("void(uint64[::1], float64, float64[::1], float64[::1], int64, int64, int64[:, ::1])")
def draw_erased_boxes(keys, p, scale, ratio, height, width, boxes):
    """A box of random area and aspect in each image, distributed as in `torchvision.transforms.RandomErasing`.

    Args:
        keys: uint64 (N,). Draw 0 decides whether there is a box at all, then come area and ratio of each attempt,
            then top and left.
        p: probability of a box.
        scale: float64 (2,), share of the image's area, uniform.
        ratio: float64 (2,), height / width, log-uniform.
        boxes: int64 (N, 4), filled with top, left, height, width; zeros without a box, as after ten that do not fit.
    """
    low, high = np.log(ratio[0]), np.log(ratio[1])
    for n in range(len(keys)):
        key = keys[n]
        boxes[n, :] = 0
        if uniform(key, 0) >= p:
            continue
        for attempt in range(_ATTEMPTS):
            area = height * width * (scale[0] + (scale[1] - scale[0]) * uniform(key, 1 + 2 * attempt))
            aspect = np.exp(low + (high - low) * uniform(key, 2 + 2 * attempt))
            h, w = int(np.rint(np.sqrt(area * aspect))), int(np.rint(np.sqrt(area / aspect)))
            if h < height and w < width:
                boxes[n, 0] = randint(key, _AFTER_BOX - 2, height - h + 1)
                boxes[n, 1] = randint(key, _AFTER_BOX - 1, width - w + 1)
                boxes[n, 2] = h
                boxes[n, 3] = w
                break


@kernel("void(int64[:, ::1], uint8[::1], uint8[:, :, :, ::1], uint8[:, :, :, ::1])")
def erase(boxes, value, source, target):
    """Copy each image with its box painted over.

    Args:
        boxes: int64 (N, 4): top, left, height, width, inside the image.
        value: uint8 (B,).
        source, target: uint8 (N, H, W, B), B bytes per pixel; they may be the same.
    """
    source, target = unowned(source), unowned(target)
    in_place = source.ctypes.data == target.ctypes.data
    painted = np.empty((source.shape[2], len(value)), dtype=np.uint8)
    painted[:] = value
    for n in range(len(boxes)):
        if not in_place:
            copy_bytes(target[n].ctypes.data, source[n].ctypes.data, source[n].size)
        top, left, height, width = boxes[n, 0], boxes[n, 1], boxes[n, 2], boxes[n, 3]
        for y in range(top, top + height):
            copy_bytes(target[n, y, left].ctypes.data, painted.ctypes.data, width * len(value))


@kernel("void(int64[:, ::1], uint64[::1], uint8[:, :, :, ::1], uint8[:, :, :, ::1])")
def erase_with_noise(boxes, keys, source, target):
    """Copy each image with every value in its box drawn anew, uniform in 0 to 255.

    Args:
        boxes: int64 (N, 4): top, left, height, width, inside the image.
        keys: uint64 (N,); each value has a draw of its own, after those of `draw_erased_boxes`.
        source, target: uint8 (N, H, W, C); they may be the same.
    """
    channels = source.shape[3]
    source, target = unowned(source), unowned(target)
    in_place = source.ctypes.data == target.ctypes.data
    for n in range(len(boxes)):
        if not in_place:
            copy_bytes(target[n].ctypes.data, source[n].ctypes.data, source[n].size)
        top, left, height, width = boxes[n, 0], boxes[n, 1], boxes[n, 2], boxes[n, 3]
        draw = _AFTER_BOX
        for y in range(top, top + height):
            for x in range(left, left + width):
                for c in range(channels):
                    target[n, y, x, c] = np.uint8(randint(keys[n], draw, 256))
                    draw += 1
