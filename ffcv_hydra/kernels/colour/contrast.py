"""Contrast, saturation and grey: what depends on all channels of a pixel; images of one channel have no colour.

The pixels are those of torchvision's functional transforms of uint8 tensors, grey to the bit, the others within one
level (float32 there, 16-bit lanes or another order of the same operations here).
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.colour.pixels import change_in_vectors
from ffcv_hydra.kernels.colour.tones import as_level, blend_with_level
from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.vectors import FLOAT32, INT8, INT16, INT32, INT64, Vectors
from ffcv_hydra.kernels.memory.copies import copy_bytes

_PIXELS = 64  # that are changed at once
_SUMMED = 256  # pixels whose luminances are summed at once

_WEIGHTS = (2989, 5870, 1140)  # of R, G and B in 10,000 parts of the luminance, as torchvision has them
_IN_256 = tuple(weight * 256 // 10_000 for weight in _WEIGHTS)


def _weighted(vectors, channels, weights):
    builder, pairs = vectors.builder, zip(channels, weights, strict=True)
    red, green, blue = (builder.mul(value, vectors.like(value, weight)) for value, weight in pairs)
    return builder.add(builder.add(red, green), blue)


def _greys(vectors, address):
    """The luminances of 64 pixels, cut to integers, as 32-bit lanes.

    The weighted sums are exact, and so are the quotients when they are cut: their error of 2e-5 stays below the 1e-4
    between a sum and the next integer.
    """
    builder, pixels = vectors.builder, vectors.load(address, 0, INT8, 3 * _PIXELS)
    zero = 3 * _PIXELS
    order = [place for first in range(0, zero, 3) for place in (first, first + 1, first + 2, zero)]
    pixels = vectors.shuffle(pixels, vectors.like(pixels, 0), order)
    pixels = builder.bitcast(pixels, ir.VectorType(INT32, _PIXELS))
    green = builder.lshr(pixels, vectors.like(pixels, 8))
    red, green = (builder.and_(value, vectors.like(pixels, 0xFF)) for value in (pixels, green))
    channels = (red, green, builder.lshr(pixels, vectors.like(pixels, 16)))
    total = builder.sitofp(_weighted(vectors, channels, _WEIGHTS), ir.VectorType(FLOAT32, _PIXELS))
    share = ir.Constant(total.type, [float(np.nextafter(np.float32(1e-4), np.float32(1)))] * _PIXELS)
    return builder.fptosi(builder.fmul(total, share), pixels.type)


def _grey(vectors, channels):
    """As `_greys`, of pixels whose channels are there as 16-bit lanes.

    Weights in 256 parts, rounded down, give it or one less: their sum is 0.97 too small at most. Which of the two, the
    difference from the sum in 10,000 parts says, 0 to 19,999, for which the lower 16 bits of both are enough.
    """
    builder = vectors.builder
    sum_in_256, sum_in_10_000 = (_weighted(vectors, channels, weights) for weights in (_IN_256, _WEIGHTS))
    grey = builder.lshr(sum_in_256, vectors.like(sum_in_256, 8))
    rest = builder.sub(sum_in_10_000, builder.mul(grey, vectors.like(grey, 10_000)))
    one_more = builder.lshr(builder.add(rest, vectors.like(rest, (1 << 15) - 10_000)), vectors.like(rest, 15))
    return builder.add(grey, one_more)


@intrinsic
def _total_grey(typing_context, source):
    """The sum of the luminances of 256 pixels at an address."""

    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder)
        sums = vectors.constant(INT32, _PIXELS, 0)
        for begin in range(0, 3 * _SUMMED, 3 * _PIXELS):
            sums = builder.add(sums, _greys(vectors, builder.add(arguments[0], INT64(begin))))
        return vectors.total(sums)

    return types.int64(types.int64), generate


@intrinsic
def _take_colour(typing_context, source, target):
    """Write 64 pixels as their luminance."""

    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder)
        greys = builder.bitcast(_greys(vectors, arguments[0]), ir.VectorType(INT8, 4 * _PIXELS))
        order = [4 * pixel for pixel in range(_PIXELS) for channel in range(3)]
        vectors.store(vectors.shuffle(greys, greys, order), arguments[1])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def _saturate(typing_context, source, target, slope, bits):
    """Write 64 pixels as grey + ((x - grey) * slope >> (9 + bits)), as a level; `slope` is even and below 2**16.

    Differences are made positive by 256 for the product; what that adds to it is taken away again.
    """

    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder)
        source, target, slope, bits = arguments
        numbers = (slope, builder.lshr(slope, INT64(1)), bits)
        slopes, added, shift = (vectors.filled(INT16, _PIXELS // 2, number) for number in numbers)
        start, seven, zero, most = (vectors.like(slopes, number) for number in (256 << 7, 7, 0, 255))
        parts = [vectors.halves(values) for values in vectors.load_pixels(source, _PIXELS)]
        halves = []
        for channels in zip(*parts, strict=True):
            grey = _grey(vectors, channels)
            less = builder.sub(start, builder.shl(grey, seven))
            more = builder.sub(builder.shl(grey, shift), added)
            levels = []
            for value in channels:
                product = vectors.upper_product(builder.add(builder.shl(value, seven), less), slopes)
                value = builder.add(product, more)
                value = builder.select(builder.icmp_signed(">", value, zero), value, zero)
                value = builder.lshr(value, shift)
                levels.append(builder.select(builder.icmp_unsigned("<", value, most), value, most))
            halves.append(levels)
        vectors.store_pixels([vectors.whole(*both) for both in zip(*halves, strict=True)], target)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@device_function
def mean_grey(source):
    """The mean luminance of an image, uint8 (H, W, 1 or 3); each pixel's is cut to an integer first."""
    if source.shape[2] != 3:
        return source.mean()
    pixels, first = source.size // 3, source.ctypes.data
    rest = np.zeros(3 * _SUMMED, dtype=np.uint8)
    count = 3 * (pixels % _SUMMED)
    copy_bytes(rest.ctypes.data, first + 3 * pixels - count, count)
    total = _total_grey(rest.ctypes.data)  # type: ignore[call-arg, var-annotated]
    for i in range(0, 3 * pixels - count, 3 * _SUMMED):
        total += _total_grey(first + i)
    return total / pixels


@device_function
def adjust_contrast(factor, source, target):
    """Move an image's values away from its mean luminance by `factor`; `target` may be `source`."""
    blend_with_level(factor, mean_grey(source), source, target)


@device_function
def _saturate_in_floats(factor, source, target):
    """As torchvision does, pixel by pixel, for factors that are too large for 16 bits."""
    share, rest = np.float32(factor), np.float32(1.0 - factor)
    before, after = source.reshape(-1, 3), target.reshape(-1, 3)
    for i in range(len(before)):
        red, green, blue = before[i, 0], before[i, 1], before[i, 2]
        grey = (_WEIGHTS[0] * red + _WEIGHTS[1] * green + _WEIGHTS[2] * blue) // 10_000
        for channel in range(3):
            after[i, channel] = as_level(share * np.float32(before[i, channel]) + rest * np.float32(grey))


@device_function
def adjust_saturation(factor, source, target):
    """Move each pixel's values away from its luminance by `factor`; `target` may be `source`."""
    if source.shape[2] != 3:
        copy_bytes(target.ctypes.data, source.ctypes.data, source.size)
    elif factor < 128:
        bits = 7  # behind the point; as many as leave room for factor * 255
        while bits > 0 and factor * (1 << bits) >= 128:
            bits -= 1
        slope = 2 * min(int(factor * (1 << (8 + bits)) + 0.5), 0x7FFF)
        change_in_vectors(_saturate, 3 * _PIXELS, (slope, bits), source, target)
    else:
        _saturate_in_floats(factor, source, target)


@device_function
def to_grey(source, target):
    """Each pixel's luminance in all of its channels; `target` may be `source`."""
    if source.shape[2] == 3:
        change_in_vectors(_take_colour, 3 * _PIXELS, (), source, target)
    else:
        copy_bytes(target.ctypes.data, source.ctypes.data, source.size)
