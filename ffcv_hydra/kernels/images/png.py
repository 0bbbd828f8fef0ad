"""The filters of PNG's scan lines, undone (PNG specification, third edition, 9: Filtering)."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.compiling.compilation import device_function, innermost_function, kernel
from ffcv_hydra.kernels.compiling.vectors import INT16, INT64, Vectors

PIXEL = 3  # bytes: RGB of 8 bits
_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)

_bytes = types.Array(types.uint8, 1, "C", readonly=True)
_rows = types.Array(types.uint8, 2, "C")


@intrinsic
def _paeth(typing_context, left, up, corner, difference):
    """The bytes that are `difference` more than the nearest neighbours to left + up - corner; four in 16 bits each."""

    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder)
        left, up, corner, difference = (builder.bitcast(value, ir.VectorType(INT16, 4)) for value in arguments)

        def magnitude(value):
            negated = builder.neg(value)
            return builder.select(builder.icmp_signed(">", value, negated), value, negated)

        across, down = builder.sub(up, corner), builder.sub(left, corner)
        to_left, to_up, to_corner = magnitude(across), magnitude(down), magnitude(builder.add(across, down))
        up_is_nearer = builder.icmp_signed("<=", to_up, to_corner)
        least, nearest = builder.select(up_is_nearer, to_up, to_corner), builder.select(up_is_nearer, up, corner)
        nearest = builder.select(builder.icmp_signed("<=", to_left, least), left, nearest)
        found = builder.and_(builder.add(nearest, difference), vectors.like(left, 255))
        return builder.bitcast(found, INT64)

    return types.uint64(*[types.uint64] * 4), generate


@innermost_function
def _spread(line, x):
    """The three bytes of a pixel, in 16 bits each."""
    return np.uint64(line[x]) | np.uint64(line[x + 1]) << np.uint64(16) | np.uint64(line[x + 2]) << np.uint64(32)


@device_function
def _undo_paeth(line, above, row):
    left = corner = np.uint64(0)
    for x in range(0, len(row), PIXEL):
        up = _spread(above, x)
        left = _paeth(left, up, corner, _spread(line, x))  # type: ignore[call-arg]  # numba adds the typing context
        corner = up
        row[x], row[x + 1], row[x + 2] = left, left >> np.uint64(16), left >> np.uint64(32)


@device_function
def _undo_average(line, above, row):
    red = green = blue = np.int32(0)
    for x in range(0, len(row), PIXEL):
        red = np.int32((((red + above[x]) >> 1) + line[x]) & 255)
        green = np.int32((((green + above[x + 1]) >> 1) + line[x + 1]) & 255)
        blue = np.int32((((blue + above[x + 2]) >> 1) + line[x + 2]) & 255)
        row[x], row[x + 1], row[x + 2] = red, green, blue


@device_function
def _undo_sub(line, row):
    red = green = blue = np.uint8(0)
    for x in range(0, len(row), PIXEL):
        red, green, blue = np.uint8(red + line[x]), np.uint8(green + line[x + 1]), np.uint8(blue + line[x + 2])
        row[x], row[x + 1], row[x + 2] = red, green, blue


@kernel(types.int64(_bytes, _rows))
def undo_filters(lines, pixels):
    """Make the pixels of a PNG of 8-bit RGB that is not interlaced.

    Args:
        lines: uint8 (height * (1 + 3 * width),), the uncompressed lines, each behind the number of its filter.
        pixels: uint8 (height, 3 * width), written.

    Returns:
        1, or 0 if a filter is none, or the lengths do not fit.
    """
    height, length = pixels.shape
    if len(lines) != height * (1 + length) or length % PIXEL != 0:
        return 0
    above = np.zeros(length, dtype=np.uint8)
    for y in range(height):
        begin = y * (1 + length) + 1
        kind, line, row = lines[begin - 1], lines[begin : begin + length], pixels[y]
        if kind > _PAETH:
            return 0
        if kind == _SUB:
            _undo_sub(line, row)
        elif kind == _AVERAGE:
            _undo_average(line, above, row)
        elif kind == _PAETH:
            _undo_paeth(line, above, row)
        else:
            for x in range(length):
                row[x] = line[x] + (above[x] if kind == _UP else 0)
        above = row
    return 1
