"""Rows of warped images: which of their pixels lie inside of the source, and these in code without further questions.

Pixel x of a row is read from (steps_x[x] + begin_x, steps_y[x] + begin_y) in the source, where steps ascend or descend
evenly. Those are in float64; a mean of four pixels is taken with weights of 14 bits, at positions with as many behind
the point, which moves no value by more than 0.05 levels.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.vectors import INT8, INT16, INT32, INT64, Vectors
from ffcv_hydra.kernels.memory.copies import copy_bytes

_SHARE_BITS = 14
_ONE = 1 << _SHARE_BITS

_TO_INTEGER = 1.5 * 2.0**52  # a float64 to which this is added has no bits behind the point left


@device_function
def rounded(value):
    """The nearest integer, the even one of two as torch rounds; `np.rint`, which LLVM has no vectors of here."""
    return (value + _TO_INTEGER) - _TO_INTEGER


@device_function
def narrowed(first, stop, steps, slope, begin, low, high):
    """The part of `first` to `stop` (exclusive) where `low <= steps[x] + begin <= high`; `slope` is between steps."""
    if slope == 0:
        return (first, stop) if low <= steps[0] + begin <= high else (first, first)
    at = begin + steps[0]
    one, other = (low - 1e-6 - at) / slope, (high + 1e-6 - at) / slope
    least, most = np.float64(first), np.float64(stop)  # a slope of next to nothing gives what no integer holds
    first = np.int64(min(max(np.floor(min(one, other)), least), most))
    stop = max(first, np.int64(min(max(np.floor(max(one, other)) + 2, least), most)))
    while first < stop and not low <= steps[first] + begin <= high:
        first += 1
    while first < stop and not low <= steps[stop - 1] + begin <= high:
        stop -= 1
    return first, stop


@intrinsic
def _move_three(typing_context, target, source):
    """Copy 3 bytes, and write one more."""

    def generate(context, builder, signature, arguments):
        target, source = arguments

        def loaded(offset, kind):
            at = builder.add(source, ir.Constant(INT64, offset))
            value = builder.load(builder.inttoptr(at, kind.as_pointer()))
            value.align = 1
            return builder.zext(value, INT32)

        pixel = builder.or_(loaded(0, INT16), builder.shl(loaded(2, INT8), ir.Constant(INT32, 16)))
        builder.store(pixel, builder.inttoptr(target, INT32.as_pointer())).align = 1
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@device_function
def nearest_row(image, width, size, steps_x, begin_x, steps_y, begin_y, offsets, line):
    """Copy the pixels that are nearest to where those of a part of a row are read from, all inside of the source.

    Args:
        image: the source's address.
        width, size: of the source, in pixels and bytes per pixel.
        steps_x, steps_y: float64 (W,), of this part of the row.
        offsets: int32 (at least W,), overwritten.
        line: the address of the part's first pixel, written.
    """
    count = len(steps_x)
    for x in range(count):
        column, row = np.int32(rounded(steps_x[x] + begin_x)), np.int32(rounded(steps_y[x] + begin_y))
        offsets[x] = (row * np.int32(width) + column) * np.int32(size)
    if size == 3:
        for x in range(count - 1):
            _move_three(line + 3 * x, image + np.int64(offsets[x]))  # type: ignore[call-arg]
        copy_bytes(line + 3 * (count - 1), image + np.int64(offsets[count - 1]), 3)
    else:
        for x in range(count):
            copy_bytes(line + size * x, image + np.int64(offsets[x]), size)


@intrinsic
def _blend_three(typing_context, target, above, below, upper, lower):
    """Write a weighted mean of four pixels and one more byte; reads two bytes behind each two that are neighbours.

    Weights are pairs of int16 in one number, those of the left pixel in its lower half.
    """

    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder)
        target, above, below, upper, lower = arguments
        total = vectors.constant(INT32, 4, _ONE // 2)
        for address, weights in ((above, upper), (below, lower)):
            values = vectors.load(address, 0, INT8, 8)
            values = vectors.widened(vectors.shuffle(values, values, [0, 3, 1, 4, 2, 5, 6, 7]), INT32, signed=False)
            factors = builder.bitcast(builder.trunc(weights, INT32), ir.VectorType(INT16, 2))
            factors = vectors.widened(vectors.shuffle(factors, factors, [0, 1] * 4), INT32, signed=True)
            products = builder.mul(values, factors)
            left, right = (vectors.shuffle(products, products, range(side, 8, 2)) for side in (0, 1))
            total = builder.add(total, builder.add(left, right))
        total = builder.lshr(total, vectors.like(total, _SHARE_BITS))
        vectors.store(builder.trunc(total, ir.VectorType(INT8, 4)), target)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


@device_function
def blended_row(image, width, steps_x, begin_x, steps_y, begin_y, scratch, line):
    """Mean of the four pixels around where those of a part of a row are read from, of three bytes each.

    Two bytes behind the right ones are read, and one behind the part is written.

    Args:
        image, width, steps_x, steps_y, line: as of `nearest_row`.
        scratch: int32 (3, at least W), overwritten.
    """
    offsets, upper, lower = scratch[0], scratch[1], scratch[2]
    at_x, at_y = begin_x * _ONE + 0.5, begin_y * _ONE + 0.5
    for x in range(len(steps_x)):
        fixed_x, fixed_y = np.int32(steps_x[x] * _ONE + at_x), np.int32(steps_y[x] * _ONE + at_y)
        share_x, share_y = np.int32(fixed_x & np.int32(_ONE - 1)), np.int32(fixed_y & np.int32(_ONE - 1))
        corner = np.int32(np.int32(share_x * share_y + np.int32(_ONE // 2)) >> np.int32(_SHARE_BITS))
        column, row = np.int32(fixed_x >> np.int32(_SHARE_BITS)), np.int32(fixed_y >> np.int32(_SHARE_BITS))
        offsets[x] = np.int32(row * np.int32(width) + column) * np.int32(3)
        upper[x] = np.int32(_ONE - share_x - share_y + corner) | np.int32(share_x - corner) << np.int32(16)
        lower[x] = np.int32(share_y - corner) | np.int32(corner << np.int32(16))
    for x in range(len(steps_x)):
        above = image + np.int64(offsets[x])
        below, to = above + 3 * width, line + 3 * x
        _blend_three(to, above, below, np.int64(upper[x]), np.int64(lower[x]))  # type: ignore[call-arg]


@device_function
def _blend_pixel(source, from_x, from_y, fill, pixel):
    height, width, channels = source.shape
    fixed_x, fixed_y = np.int64(np.floor(from_x * _ONE + 0.5)), np.int64(np.floor(from_y * _ONE + 0.5))
    share_x, share_y = fixed_x & (_ONE - 1), fixed_y & (_ONE - 1)
    right, bottom = (fixed_x >> _SHARE_BITS) + 1, (fixed_y >> _SHARE_BITS) + 1
    corner = (share_x * share_y + _ONE // 2) >> _SHARE_BITS
    weights = (_ONE - share_x - share_y + corner, share_x - corner, share_y - corner, corner)
    for c in range(channels):
        total = np.int64(_ONE // 2)
        for position in range(4):
            y, x = bottom - 1 + position // 2, right - 1 + position % 2
            is_inside = 0 <= y < height and 0 <= x < width
            total += weights[position] * np.int64(source[y, x, c] if is_inside else fill[c])
        pixel[c] = np.uint8(total >> _SHARE_BITS)


@device_function
def blend_border(source, steps_x, begin_x, steps_y, begin_y, fill, pixels):
    """Mean of the four pixels around where those of a part of a row are read from; `fill` for those outside.

    Args:
        source: uint8 (H, W, C).
        steps_x, steps_y: float64 (P,), of this part of the row.
        fill: uint8 (C,).
        pixels: uint8 (P, C), written.
    """
    height, width, channels = source.shape
    for x in range(len(steps_x)):
        from_x, from_y = steps_x[x] + begin_x, steps_y[x] + begin_y
        if -1 < from_x < width and -1 < from_y < height:
            _blend_pixel(source, from_x, from_y, fill, pixels[x])
        else:
            for c in range(channels):
                pixels[x, c] = fill[c]
