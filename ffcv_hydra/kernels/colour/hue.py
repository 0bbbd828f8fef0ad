"""Turning the hue of an image, by the hexcone model (Smith, "Color gamut transform pairs", SIGGRAPH 1978).

A row is split into its channels first, so that LLVM vectorises the arithmetic: seven times as fast as pixel by pixel.
"""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function

_TO_LEVEL = np.float32(255.999 / 255)  # torchvision maps [0, 1] to bytes with 255.999, cut


@device_function
def _hexcone(red, green, blue, hues, highs, chromas):
    """Of each pixel of a row, float32 (W,): hue in sixths of the circle, -1 to 5, largest value, largest - smallest."""
    zero, one, two, four = np.float32(0), np.float32(1), np.float32(2), np.float32(4)
    for x in range(len(red)):
        r, g, b = red[x], green[x], blue[x]
        high = max(r, g, b)
        chroma = high - min(r, g, b)
        scale = one / chroma if chroma > zero else zero
        from_red, from_green, from_blue = (g - b) * scale, two + (b - r) * scale, four + (r - g) * scale
        hues[x] = from_red if high == r else (from_green if high == g else from_blue)
        highs[x] = high
        chromas[x] = chroma


@device_function
def _channel(start, hues, highs, chromas, values):
    """Values of one channel, which is highest at hues 0 and 4 to 6, lowest from 1 to 3, counted from `start` on."""
    zero, one, four, six = np.float32(0), np.float32(1), np.float32(4), np.float32(6)
    for x in range(len(values)):
        place = hues[x] + start
        place -= six if place >= six else zero
        place -= six if place >= six else zero
        lowered = min(max(min(place, four - place), zero), one)
        values[x] = (highs[x] - chromas[x] * lowered) * _TO_LEVEL


@device_function
def adjust_hue(turn, source, target):
    """Turn the hue of each pixel of an image; its largest and its smallest value stay, if in other channels.

    Args:
        turn: a share of the circle, in [-0.5, 0.5].
        source, target: uint8 (H, W, 1 or 3), which may be the same one. One channel has no hue and is copied.
    """
    height, width, channels = source.shape
    if channels != 3:
        target[:] = source
        return
    shift = 6 * (turn + 1 if turn < 0 else turn)  # so that no place on the circle is negative
    rows = np.empty((6, width), dtype=np.float32)
    red, green, blue, hues, highs, chromas = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]
    for y in range(height):
        for x in range(width):
            red[x] = source[y, x, 0]
            green[x] = source[y, x, 1]
            blue[x] = source[y, x, 2]
        _hexcone(red, green, blue, hues, highs, chromas)
        _channel(np.float32(shift + 5), hues, highs, chromas, red)
        _channel(np.float32(shift + 3), hues, highs, chromas, green)
        _channel(np.float32(shift + 1), hues, highs, chromas, blue)
        for x in range(width):
            target[y, x, 0] = np.uint8(np.int32(red[x]))
            target[y, x, 1] = np.uint8(np.int32(green[x]))
            target[y, x, 2] = np.uint8(np.int32(blue[x]))
