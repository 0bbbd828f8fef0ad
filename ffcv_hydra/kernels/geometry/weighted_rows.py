"""The horizontal pass over rows of pixels, in vector code that LLVM does not find by itself.

Each output pixel is the sum of a few input pixels times weights. A pixel of three bytes is read as four, of which the
last is thrown away, and two rows go together: each tap is then one operation on eight lanes. Of other pixels two, four
or eight channels go together. All pixels of a row have the same number of taps, since a number that varies from pixel
to pixel is one that the processor guesses wrong.
"""

import functools

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.numba_internals import cgutils
from ffcv_hydra.kernels.compiling.vectors import INT32, INT64, Vectors

_LANES = 4  # of a pixel
_ROWS = 2


class _TwoRows:
    """Builds the code of `weighted_rows`: sums of both rows' pixels, read and written as four values each.

    Args:
        context, builder: of the intrinsic.
        arrays: those of its arguments that are some, rows, first, weights and target, as numba has them.
        steps: from one row to the other one, read and written.
        num_taps: a number if that is known when this is compiled, or else the argument.
        real, whole: numba's types of a value that is read, and of one that is written.
    """

    def __init__(self, context, builder, arrays, steps, num_taps, real, whole):
        self.builder, self.vectors, self.num_taps = builder, Vectors(builder), num_taps
        self.source, self.begins, self.factors, self.outcome = arrays
        self.steps, self.real_bytes = steps, real.bitwidth // 8
        self.real, self.whole = context.get_value_type(real), context.get_value_type(whole)
        self.stride = cgutils.unpack_tuple(builder, self.factors.shape)[1]

    def _read(self, place):
        """Four values of each row from a place on."""
        builder, pointer = self.builder, ir.VectorType(self.real, _LANES).as_pointer()
        at = builder.gep(self.source.data, [place])
        both = [builder.load(builder.bitcast(row, pointer)) for row in (at, builder.gep(at, [self.steps[0]]))]
        for row in both:
            row.align = self.real_bytes
        return self.vectors.joined(*both)

    def _sum(self, position):
        """Of the pixels that one is made of in both rows, and the half that rounds."""
        builder, three, lanes = self.builder, ir.Constant(INT64, 3), _ROWS * _LANES
        begin = builder.mul(builder.load(builder.gep(self.begins.data, [position])), three)
        factor = builder.gep(self.factors.data, [builder.mul(position, self.stride)])
        half = ir.Constant(ir.VectorType(self.real, lanes), [0.5] * lanes)

        def added(total, tap):
            values = self._read(builder.add(begin, builder.mul(tap, three)))
            weight = builder.load(builder.gep(factor, [tap]))
            return builder.fadd(total, builder.fmul(self.vectors.repeated(weight, lanes), values))

        if isinstance(self.num_taps, int):
            taps = (ir.Constant(INT64, tap) for tap in range(self.num_taps))
            return functools.reduce(added, taps, half)
        kept = cgutils.alloca_once_value(builder, half)
        builder.store(half, kept)
        with cgutils.for_range(builder, self.num_taps) as loop:
            builder.store(added(builder.load(kept), loop.index), kept)
        return builder.load(kept)

    def pixel(self, position):
        """The values of one pixel in each row, four of which the last counts for nothing, and where they go."""
        builder = self.builder
        integers = builder.fptosi(self._sum(position), ir.VectorType(INT32, _ROWS * _LANES))
        values = builder.trunc(integers, ir.VectorType(self.whole, _ROWS * _LANES))
        at = builder.gep(self.outcome.data, [builder.mul(position, ir.Constant(INT64, 3))])
        for row in range(_ROWS):
            yield self.vectors.shuffle(values, values, range(row * _LANES, (row + 1) * _LANES)), at
            at = builder.gep(at, [self.steps[1]])


def _weighted_rows(known_taps):
    """An intrinsic of `weighted_rows` for a number of taps that is known when it is compiled, or for any if 0."""

    @intrinsic
    def weighted(typing_context, rows, first, weights, num_taps, target, row_step, target_step):
        real, whole = rows.dtype, target.dtype

        def generate(context, builder, signature, arguments):
            arrays = [context.make_array(signature.args[n])(context, builder, arguments[n]) for n in (0, 1, 2, 4)]
            both = _TwoRows(context, builder, arrays, arguments[5:], known_taps or arguments[3], real, whole)
            count = cgutils.unpack_tuple(builder, arrays[3].shape)[0]
            last = builder.sub(count, ir.Constant(INT64, 1))
            with cgutils.for_range(builder, last) as loop:  # the fourth value is overwritten by the next pixel
                for values, at in both.pixel(loop.index):
                    builder.store(values, builder.bitcast(at, values.type.as_pointer())).align = whole.bitwidth // 8
            for values, at in both.pixel(last):
                for channel in range(3):
                    value = builder.extract_element(values, ir.Constant(INT32, channel))
                    builder.store(value, builder.gep(at, [ir.Constant(INT64, channel)]))
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
            vector = ir.VectorType(context.get_value_type(row.dtype), lanes)
            stride = cgutils.unpack_tuple(builder, factors.shape)[1]
            count = cgutils.unpack_tuple(builder, begins.shape)[0]
            width, one = ir.Constant(INT64, lanes), ir.Constant(INT64, 1)
            blocks = builder.sdiv(builder.sub(builder.add(arguments[4], width), one), width)
            last = builder.sub(arguments[4], width)

            def product(at, factor, tap):
                values = builder.load(builder.bitcast(builder.gep(source.data, [at]), vector.as_pointer()))
                values.align = row.dtype.bitwidth // 8
                weight = builder.load(builder.gep(factor, [tap]))
                return builder.fmul(Vectors(builder).repeated(weight, lanes), values)

            kept = cgutils.alloca_once(builder, vector)
            with cgutils.for_range(builder, count) as pixels:
                begin = builder.mul(builder.load(builder.gep(begins.data, [pixels.index])), arguments[4])
                factor = builder.gep(factors.data, [builder.mul(pixels.index, stride)])
                with cgutils.for_range(builder, blocks) as block:
                    # the last one begins earlier, and sums some channels again
                    channel = builder.mul(block.index, width)
                    channel = builder.select(builder.icmp_signed("<", channel, last), channel, last)
                    at = builder.add(begin, channel)
                    builder.store(product(at, factor, ir.Constant(INT64, 0)), kept)
                    with cgutils.for_range_slice(builder, one, arguments[3], one, intp=INT64) as (tap, _):
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
