"""Two images mixed into each other: mixup and cutmix. Images 2j and 2j + 1 are pair j."""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import kernel
from ffcv_hydra.kernels.random.beta import BETA_DRAWS, symmetric_beta
from ffcv_hydra.kernels.random.generator import randint


@kernel("void(uint64[::1], float64, float64[::1])")
def draw_weights(keys, alpha, weights):
    """Draw the share that each image of a pair keeps of itself.

    Args:
        keys: uint64 (P,), of the pairs; draws from 0 on.
        weights: float64 (P,), filled with Beta(alpha, alpha) numbers.
    """
    for j in range(len(keys)):
        weights[j] = symmetric_beta(keys[j], 0, alpha)


@kernel("void(uint64[::1], float64, int64, int64, int64[:, ::1])")
def draw_mixed_boxes(keys, alpha, height, width, boxes):
    """Draw the box that each pair exchanges, distributed as in `torchvision.transforms.v2.CutMix`.

    Its sides are sqrt(1 - w) of the image's, w ~ Beta(alpha, alpha), its centre is any pixel; what lies outside is cut.

    Args:
        keys: uint64 (P,), of the pairs.
        boxes: int64 (P, 4), filled with top, left, height, width.
    """
    for j in range(len(keys)):
        half = 0.5 * np.sqrt(1.0 - symmetric_beta(keys[j], 0, alpha))
        half_height, half_width = int(half * height), int(half * width)
        y, x = randint(keys[j], BETA_DRAWS, height), randint(keys[j], BETA_DRAWS + 1, width)
        boxes[j, 0] = max(0, y - half_height)
        boxes[j, 1] = max(0, x - half_width)
        boxes[j, 2] = min(height, y + half_height) - boxes[j, 0]
        boxes[j, 3] = min(width, x + half_width) - boxes[j, 1]


@kernel("void(float64[::1], uint8[:, ::1], uint8[:, ::1])")
def mixup_bytes(weights, source, target):
    """Fill both images of each pair with w times the image and 1 - w times the other, rounded.

    Args:
        weights: float64 (P,), in [0, 1].
        source, target: uint8 (N, V), V values per image; an image without a partner is copied.
    """
    for j in range(len(weights)):
        w = np.float32(weights[j])
        one, other = source[2 * j], source[2 * j + 1]
        for i in range(len(one)):
            a, b = np.float32(one[i]), np.float32(other[i])
            target[2 * j, i] = np.uint8(b + w * (a - b) + np.float32(0.5))
            target[2 * j + 1, i] = np.uint8(a + w * (b - a) + np.float32(0.5))
    if len(source) > 2 * len(weights):
        target[-1] = source[-1]


@kernel("void(float64[::1], float32[:, ::1], float32[:, ::1])")
def mixup_floats(weights, source, target):
    """The same for float32, not rounded."""
    for j in range(len(weights)):
        w = np.float32(weights[j])
        one, other = source[2 * j], source[2 * j + 1]
        for i in range(len(one)):
            a, b = one[i], other[i]
            target[2 * j, i] = b + w * (a - b)
            target[2 * j + 1, i] = a + w * (b - a)
    if len(source) > 2 * len(weights):
        target[-1] = source[-1]


@kernel("void(int64[:, ::1], uint8[:, :, :, ::1], uint8[:, :, :, ::1])")
def exchange_boxes(boxes, source, target):
    """Copy all images, the box of each from its partner.

    Args:
        boxes: int64 (P, 4): top, left, height, width, of the pairs.
        source, target: uint8 (N, H, W, B), B bytes per pixel; an image without a partner is copied.
    """
    target[:] = source
    for j in range(len(boxes)):
        top, left = boxes[j, 0], boxes[j, 1]
        bottom, right = top + boxes[j, 2], left + boxes[j, 3]
        target[2 * j, top:bottom, left:right] = source[2 * j + 1, top:bottom, left:right]
        target[2 * j + 1, top:bottom, left:right] = source[2 * j, top:bottom, left:right]
