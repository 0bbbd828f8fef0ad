"""The horizontal pass over rows of pixels, in vector code that LLVM does not find by itself.

Each output pixel is the sum of a few input pixels times weights. A pixel of three bytes is read as four, of which the
last is thrown away, and two rows go together: each tap is then one operation on eight lanes. Of other pixels two, four
or eight channels go together. All pixels of a row have the same number of taps, since a number that varies from pixel
to pixel is one that the processor guesses wrong.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.numba_internals import cgutils

_LANES = 4  # of a pixel
_ROWS = 2


def _weighted_rows(known_taps):
    """An intrinsic of `weighted_rows` for a number of taps that is known when it is compiled, or for any if 0."""

    @intrinsic
    def weighted(typing_context, rows, first, weights, num_taps, target, row_step, target_step):
        real, whole = rows.dtype, target.dtype

        def generate(context, builder, signature, arguments):
            source, begins, factors, outcome = (
                context.make_array(signature.args[position])(context, builder, arguments[position])
                for position in (0, 1, 2, 4)
            )
            number, index, lane = ir.IntType(64), ir.IntType(32), context.get_value_type(real)
            pixel_type, vector = ir.VectorType(lane, _LANES), ir.VectorType(lane, _ROWS * _LANES)
            stride = cgutils.unpack_tuple(builder, factors.shape)[1]
            count = cgutils.unpack_tuple(builder, outcome.shape)[0]
            three = ir.Constant(number, 3)
            both = ir.Constant(ir.VectorType(index, _ROWS * _LANES), list(range(_ROWS * _LANES)))

            def loaded(at):
                values = builder.load(builder.bitcast(at, pixel_type.as_pointer()))
                values.align = real.bitwidth // 8
                return values

            def added(total, begin, factor, tap):
                at = builder.gep(source.data, [builder.add(begin, builder.mul(tap, three))])
                values = builder.shuffle_vector(loaded(at), loaded(builder.gep(at, [arguments[5]])), both)
                weight = builder.load(builder.gep(factor, [tap]))
                same = builder.insert_element(ir.Constant(vector, ir.Undefined), weight, ir.Constant(index, 0))
                same = builder.shuffle_vector(same, same, ir.Constant(both.type, [0] * both.type.count))
                return builder.fadd(total, builder.fmul(same, values))

            def pixel(position):
                """The values of one pixel in each row, and where they go."""
                begin = builder.mul(builder.load(builder.gep(begins.data, [position])), three)
                factor = builder.gep(factors.data, [builder.mul(position, stride)])
                half = ir.Constant(vector, [ir.Constant(lane, 0.5)] * vector.count)
                if known_taps:
                    total = half
                    for tap in range(known_taps):
                        total = added(total, begin, factor, ir.Constant(number, tap))
                else:
                    kept = cgutils.alloca_once_value(builder, half)
                    builder.store(half, kept)
                    with cgutils.for_range(builder, arguments[3]) as loop:
                        builder.store(added(builder.load(kept), begin, factor, loop.index), kept)
                    total = builder.load(kept)
                integers = builder.fptosi(total, ir.VectorType(index, vector.count))
                values = builder.trunc(integers, ir.VectorType(context.get_value_type(whole), vector.count))
                at = builder.gep(outcome.data, [builder.mul(position, three)])
                for row in range(_ROWS):
                    part = ir.Constant(ir.VectorType(index, _LANES), list(range(row * _LANES, (row + 1) * _LANES)))
                    yield builder.shuffle_vector(values, values, part), at
                    at = builder.gep(at, [arguments[6]])

            last = builder.sub(count, ir.Constant(number, 1))
            with cgutils.for_range(builder, last) as loop:  # the fourth value is overwritten by the next pixel
                for values, at in pixel(loop.index):
                    builder.store(values, builder.bitcast(at, values.type.as_pointer())).align = whole.bitwidth // 8
            for values, at in pixel(last):
                for channel in range(3):
                    value = builder.extract_element(values, ir.Constant(index, channel))
                    builder.store(value, builder.gep(at, [ir.Constant(number, channel)]))
            return context.get_dummy_value()

        return types.void(rows, first, weights, num_taps, target, row_step, target_step), generate

    return weighted


_of_two, _of_three, _of_any = _weighted_rows(2), _weighted_rows(3), _weighted_rows(0)


def _weighted_pixels(lanes):
    """An intrinsic of `weighted_pixels` for at least `lanes` channels, so many of which are summed at a time."""

    @intrinsic
    def weighted(typing_context, row, first, weights, num_taps, channels, target):
        def generate(context, builder, signature, arguments):
            source, begins, factors, outcome = (
                context.make_array(signature.args[position])(context, builder, arguments[position])
                for position in (0, 1, 2, 5)
            )
            number, index = ir.IntType(64), ir.IntType(32)
            vector = ir.VectorType(context.get_value_type(row.dtype), lanes)
            stride = cgutils.unpack_tuple(builder, factors.shape)[1]
            count = cgutils.unpack_tuple(builder, begins.shape)[0]
            width, one = ir.Constant(number, lanes), ir.Constant(number, 1)
            blocks = builder.sdiv(builder.sub(builder.add(arguments[4], width), one), width)
            last = builder.sub(arguments[4], width)

            def product(at, factor, tap):
                values = builder.load(builder.bitcast(builder.gep(source.data, [at]), vector.as_pointer()))
                values.align = row.dtype.bitwidth // 8
                weight = builder.load(builder.gep(factor, [tap]))
                same = builder.insert_element(ir.Constant(vector, ir.Undefined), weight, ir.Constant(index, 0))
                same = builder.shuffle_vector(same, same, ir.Constant(ir.VectorType(index, lanes), [0] * lanes))
                return builder.fmul(same, values)

            kept = cgutils.alloca_once(builder, vector)
            with cgutils.for_range(builder, count) as pixels:
                begin = builder.mul(builder.load(builder.gep(begins.data, [pixels.index])), arguments[4])
                factor = builder.gep(factors.data, [builder.mul(pixels.index, stride)])
                with cgutils.for_range(builder, blocks) as block:
                    # the last one begins earlier, and sums some channels again
                    channel = builder.mul(block.index, width)
                    channel = builder.select(builder.icmp_signed("<", channel, last), channel, last)
                    at = builder.add(begin, channel)
                    builder.store(product(at, factor, ir.Constant(number, 0)), kept)
                    with cgutils.for_range_slice(builder, one, arguments[3], one, intp=number) as (tap, _):
                        further = product(builder.add(at, builder.mul(tap, arguments[4])), factor, tap)
                        builder.store(builder.fadd(builder.load(kept), further), kept)
                    place = builder.add(builder.mul(pixels.index, arguments[4]), channel)
                    place = builder.bitcast(builder.gep(outcome.data, [place]), vector.as_pointer())
                    builder.store(builder.load(kept), place).align = row.dtype.bitwidth // 8
            return context.get_dummy_value()

        return types.void(row, first, weights, num_taps, channels, target), generate

    return weighted


_by_two, _by_four, _by_eight = _weighted_pixels(2), _weighted_pixels(4), _weighted_pixels(8)


@device_function
def weighted_pixels(row, first, weights, num_taps, channels, target):
    """One output row of any number of channels: sums of `num_taps` pixels each, from pixel `first[o]` on, times
    `weights[o]`.

    Args:
        row: float32 or float64, (pixels * channels,).
        first: int64 (W,).
        weights: of the dtype of `row`, (W, at least num_taps).
        num_taps: at least 1.
        channels: at least 1.
        target: of the dtype of `row`, (W * channels,), written.
    """
    if channels >= 8:
        _by_eight(row, first, weights, num_taps, channels, target)
    elif channels >= 4:
        _by_four(row, first, weights, num_taps, channels, target)
    elif channels >= 2:
        _by_two(row, first, weights, num_taps, channels, target)
    else:
        for o in range(len(first)):
            value = weights[o, 0] * row[first[o]]
            for t in range(1, num_taps):
                value += weights[o, t] * row[first[o] + t]
            target[o] = value


@device_function
def weighted_rows(rows, first, weights, num_taps, target, row_step, target_step):
    """Two output rows: rounded sums of `num_taps` pixels each, from pixel `first[o]` on, times `weights[o]`.

    Args:
        rows: float32 or float64, one-dimensional: 3 values per pixel, and one more value behind each row.
        first: int64 (W,).
        weights: of the dtype of `rows`, (W, at least num_taps).
        num_taps: at least 1.
        target: uint8 or uint16 (W, 3), the first row that is written.
        row_step, target_step: int64, how many values behind the first row the second one is; 0 for both if there is
            one row only.
    """
    if num_taps == 2:
        _of_two(rows, first, weights, num_taps, target, row_step, target_step)
    elif num_taps == 3:
        _of_three(rows, first, weights, num_taps, target, row_step, target_step)
    else:
        _of_any(rows, first, weights, num_taps, target, row_step, target_step)


@device_function
def even_taps(first, count, weights, stop):
    """Have all output pixels read as many pixels as the one that reads most, none of them from `stop` on.

    Args:
        first, count: int64 (W,), where each begins and how many it reads; `first` is changed.
        weights: (W, at least as many), zeros beyond `count`; changed.
        stop: the end of the last of them.

    Returns:
        How many they read.
    """
    most = np.int64(1)
    for o in range(len(count)):
        most = max(most, count[o])
    for o in range(len(first)):
        shift = max(0, first[o] + most - stop)
        if shift > 0:
            first[o] -= shift
            for t in range(most - 1, -1, -1):
                weights[o, t] = weights[o, t - shift] if t >= shift else 0
    return most


@device_function
def without_unread(row, first, weights, num_taps, channels, sums):
    """Mend the sums of `weighted_pixels` that are NaN: pixels without a weight, times which NaN is NaN, have no part.

    Args:
        row, first, weights, num_taps, channels: as there.
        sums: one-dimensional, changed.
    """
    has_nan = False
    for i in range(len(sums)):
        has_nan |= sums[i] != sums[i]
    if not has_nan:
        return
    for i in range(len(sums)):
        if sums[i] != sums[i]:
            o, channel = i // channels, i % channels
            total = weights[o, 0] * 0  # of their dtype
            for t in range(num_taps):
                if weights[o, t] != 0:
                    total += weights[o, t] * row[(first[o] + t) * channels + channel]
            sums[i] = total
