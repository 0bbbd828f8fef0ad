"""Sharpening, and its opposite, by what a small blur takes away."""

import numpy as np

from ffcv_hydra.kernels.colour.tones import as_level
from ffcv_hydra.kernels.compiling.compilation import device_function


@device_function
def adjust_sharpness(factor, source, target):
    """Move an image's values away from those of its blurred version by `factor`.

    The blur is Pillow's `ImageFilter.SMOOTH`: a 3 x 3 mean in which the pixel itself counts five times, rounded. Pixels
    on the border stay as they are, and so do images without any others.

    Args:
        factor: 0 gives the blurred image, 1 the image itself, 2 a sharper one.
        source, target: uint8 (H, W, C), not the same one.
    """
    height, width, channels = source.shape
    target[:] = source
    if height < 3 or width < 3:
        return
    blurred_share, thirteenth = np.float32(1.0 - factor), np.float32(1 / 13)
    inside = (width - 2) * channels
    before, after = source.reshape(height, width * channels), target.reshape(height, width * channels)
    sums = np.empty(inside, dtype=np.float32)
    for y in range(1, height - 1):
        middle, written = before[y, channels:], after[y, channels:]
        for x in range(inside):
            sums[x] = np.float32(4) * np.float32(middle[x])
        for line in range(y - 1, y + 2):
            for column in range(3):
                neighbours = before[line, column * channels :]
                for x in range(inside):
                    sums[x] += np.float32(neighbours[x])
        for x in range(inside):
            value = np.float32(middle[x])
            blurred = np.float32(np.int32(sums[x] * thirteenth + np.float32(0.5)))
            written[x] = as_level(value + blurred_share * (blurred - value))
