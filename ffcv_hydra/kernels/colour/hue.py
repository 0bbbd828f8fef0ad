"""Turning the hue of an image, by the hexcone model (Smith, "Color gamut transform pairs", SIGGRAPH 1978).

Pixels are split into their channels by shuffles, so that LLVM vectorises the arithmetic: ten times as fast as pixel by
pixel.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.colour.pixels import change_pixels
from ffcv_hydra.kernels.compiling.compilation import device_function, innermost_function
from ffcv_hydra.kernels.compiling.vectors import INT8, Vectors

_PIXELS = 512  # that are changed at once
_LANES = 32

_TO_LEVEL = np.float32(255.999 / 255)  # torchvision maps [0, 1] to bytes with 255.999, cut


@intrinsic
def _split(typing_context, source, planes):
    """Write the channels of 32 pixels to a place in each of three planes of 512."""

    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder)
        for channel, values in enumerate(vectors.load_pixels(arguments[0], _LANES)):
            vectors.store(values, arguments[1], channel * _PIXELS)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def _join(typing_context, planes, target):
    """The opposite of `_split`."""

    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder)
        channels = [vectors.load(arguments[0], channel * _PIXELS, INT8, _LANES) for channel in range(3)]
        vectors.store_pixels(channels, arguments[1])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@innermost_function
def _level(place, high, chroma):
    """The value of a channel, which is highest at places 0 and 4 to 6 of the circle, and lowest from 1 to 3."""
    zero, one, four, six = np.float32(0), np.float32(1), np.float32(4), np.float32(6)
    place -= six if place >= six else zero
    place -= six if place >= six else zero
    lowered = min(max(min(place, four - place), zero), one)
    return np.uint8(np.int32((high - chroma * lowered) * _TO_LEVEL))


@device_function
def _turn(source, target, shift, planes):
    """Turn the hues of 512 pixels at an address by `shift` sixths of the circle, 0 to 6; planes: uint8 (3, 512)."""
    zero, one, two, four = np.float32(0), np.float32(1), np.float32(2), np.float32(4)
    red_start, green_start, blue_start = np.float32(shift + 5), np.float32(shift + 3), np.float32(shift + 1)
    for x in range(0, _PIXELS, _LANES):
        _split(source + 3 * x, planes.ctypes.data + x)  # type: ignore[call-arg]
    reds, greens, blues = planes[0], planes[1], planes[2]
    for x in range(_PIXELS):
        red, green, blue = np.float32(reds[x]), np.float32(greens[x]), np.float32(blues[x])
        high = max(red, green, blue)
        chroma = high - min(red, green, blue)
        scale = one / chroma if chroma > zero else zero
        from_red, from_green = (green - blue) * scale, two + (blue - red) * scale
        from_blue = four + (red - green) * scale
        hue = from_red if high == red else (from_green if high == green else from_blue)  # sixths of the circle, -1 to 5
        reds[x] = _level(hue + red_start, high, chroma)
        greens[x] = _level(hue + green_start, high, chroma)
        blues[x] = _level(hue + blue_start, high, chroma)
    for x in range(0, _PIXELS, _LANES):
        _join(planes.ctypes.data + x, target + 3 * x)  # type: ignore[call-arg]


@device_function
def adjust_hue(turn, source, target):
    """Turn the hue of each pixel of an image; its largest and its smallest value stay, if in other channels.

    Args:
        turn: a share of the circle, in [-0.5, 0.5].
        source, target: uint8 (H, W, 1 or 3), which may be the same one. One channel has no hue and is copied.
    """
    if source.shape[2] != 3:
        target[:] = source
        return
    shift = 6 * (turn + 1 if turn < 0 else turn)  # so that no place on the circle is negative
    planes = np.empty((3, _PIXELS), dtype=np.uint8)
    change_pixels(_turn, _PIXELS, (shift, planes), source, target)
