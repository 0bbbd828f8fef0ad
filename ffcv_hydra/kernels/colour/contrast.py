"""Contrast, saturation and grey: what depends on all channels of a pixel; images of one channel have no colour.

The pixels are those of torchvision's functional transforms of uint8 tensors, within one level (float32 there, integers
or another order of the same operations here).
"""

import numpy as np

from ffcv_hydra.kernels.colour.tones import as_level, blend_with_level
from ffcv_hydra.kernels.compiling.compilation import device_function

# torchvision's weights 0.2989, 0.587 and 0.114 with 24 fractional bits, rounded up: the cut value is then the exact one
# for all 256**3 colours, because the error stays below the 0.0001 that separates a weighted sum from the next integer.
_BITS = 24
_RED, _GREEN, _BLUE = (-(-weight * 2**_BITS // 10_000) for weight in (2989, 5870, 1140))


@device_function
def grey_level(red, green, blue):
    """The luminance of a pixel, cut to an integer."""
    return (red * _RED + green * _GREEN + blue * _BLUE) >> _BITS


@device_function
def mean_grey(source):
    """The mean luminance of an image, uint8 (H, W, 1 or 3); each pixel's is cut to an integer first."""
    height, width, channels = source.shape
    total = 0
    for y in range(height):
        for x in range(width):
            if channels == 3:
                total += grey_level(source[y, x, 0], source[y, x, 1], source[y, x, 2])
            else:
                total += source[y, x, 0]
    return total / (height * width)


@device_function
def adjust_contrast(factor, source, target):
    """Move an image's values away from its mean luminance by `factor`; `target` may be `source`."""
    blend_with_level(factor, mean_grey(source), source, target)


@device_function
def adjust_saturation(factor, source, target):
    """Move each pixel's values away from its luminance by `factor`; `target` may be `source`."""
    height, width, channels = source.shape
    if channels != 3:
        target[:] = source
        return
    factor, rest = np.float32(factor), np.float32(1.0 - factor)
    before, after = source.reshape(height, width * 3), target.reshape(height, width * 3)
    greys = np.empty(width * 3, dtype=np.float32)
    for y in range(height):
        for x in range(width):
            greys[3 * x : 3 * x + 3] = rest * np.float32(grey_level(source[y, x, 0], source[y, x, 1], source[y, x, 2]))
        for i in range(width * 3):  # all channels at once, which LLVM vectorises
            after[y, i] = as_level(factor * np.float32(before[y, i]) + greys[i])


@device_function
def to_grey(source, target):
    """Each pixel's luminance in all of its channels; `target` may be `source`."""
    height, width, channels = source.shape
    if channels != 3:
        target[:] = source
        return
    for y in range(height):
        for x in range(width):
            grey = np.uint8(grey_level(source[y, x, 0], source[y, x, 1], source[y, x, 2]))
            for c in range(3):
                target[y, x, c] = grey
