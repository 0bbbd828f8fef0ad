"""Boxes of an image painted over: cutout and random erasing."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.pointers import bytes_at, float64s_at, int64s_at
from ffcv_hydra.kernels.memory.copies import copy_bytes, copy_row
from ffcv_hydra.kernels.memory.image_chain import image_function
from ffcv_hydra.kernels.random.generator import randint, uniform

_ATTEMPTS = 10
_AFTER_BOX = 3 + 2 * _ATTEMPTS  # the first draw that no box uses


@device_function
def _paint(target, length, size, painted, box):
    """Copy a row of colour into a box (top, left, height, width) of an image with rows of `length` bytes."""
    top, left, height, width = box
    for y in range(top, top + height):
        copy_row(target + y * length + left * size, painted, width * size)


@image_function
def cutout(source, target, key, parameters):
    """Paint a square over that lies wholly inside the image, anywhere with the same probability.

    Draws 0 and 1 of the key are its top and left. `target` may be `source`.

    Parameters: height, width and bytes per pixel of the image; side of the square, at most its height and width; the
    address of one row of the image in the square's colour.
    """
    values = int64s_at(parameters, 5)
    height, width, size, side, painted = values[0], values[1], values[2], values[3], values[4]
    if source != target:
        copy_bytes(target, source, height * width * size)
    top = randint(np.uint64(key), 0, height - side + 1)
    left = randint(np.uint64(key), 1, width - side + 1)
    _paint(target, width * size, size, painted, (top, left, side, side))
    return 0


@device_function
def erased_box(key, p, scale, ratio, height, width):
    """A box of random area and aspect in an image, distributed as in `torchvision.transforms.RandomErasing`.

    Args:
        key: uint64. Draw 0 decides whether there is a box at all, then come area and ratio of each attempt, then top
            and left.
        p: probability of a box.
        scale: float64 (2,), share of the image's area, uniform.
        ratio: float64 (2,), height / width, log-uniform.
        height, width: of the image.

    Returns:
        Top, left, height, width; zeros without a box, as after ten that do not fit.
    """
    low, high = np.log(ratio[0]), np.log(ratio[1])
    if uniform(key, 0) < p:
        for attempt in range(_ATTEMPTS):
            area = height * width * (scale[0] + (scale[1] - scale[0]) * uniform(key, 1 + 2 * attempt))
            aspect = np.exp(low + (high - low) * uniform(key, 2 + 2 * attempt))
            h, w = np.int64(np.rint(np.sqrt(area * aspect))), np.int64(np.rint(np.sqrt(area / aspect)))
            if h < height and w < width:
                top, left = randint(key, _AFTER_BOX - 2, height - h + 1), randint(key, _AFTER_BOX - 1, width - w + 1)
                return top, left, h, w
    return np.int64(0), np.int64(0), np.int64(0), np.int64(0)


@device_function
def _paint_noise(target, width, size, key, box):
    top, left, box_height, box_width = box
    draw = _AFTER_BOX
    for y in range(top, top + box_height):
        row = bytes_at(target + (y * width + left) * size, box_width * size)
        for i in range(len(row)):
            row[i] = np.uint8(randint(key, draw, 256))
            draw += 1


@image_function
def random_erasing(source, target, key, parameters):
    """Paint `erased_box` over, in one colour or with every value drawn anew, uniform in 0 to 255, by further draws.

    `target` may be `source`.

    Parameters: p, scale and ratio, five float64; height, width and bytes per pixel of the image; the address of one
    row of the image in the box's colour, or 0 for values drawn anew, of bytes only.
    """
    values, floats = int64s_at(parameters, 9), float64s_at(parameters, 5)
    height, width, size, painted = values[5], values[6], values[7], values[8]
    if source != target:
        copy_bytes(target, source, height * width * size)
    box = erased_box(np.uint64(key), floats[0], floats[1:3], floats[3:5], height, width)
    if painted != 0:
        _paint(target, width * size, size, painted, box)
    else:
        _paint_noise(target, width, size, np.uint64(key), box)
    return 0
