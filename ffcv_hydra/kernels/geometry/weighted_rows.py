"""The horizontal pass over rows of three channels, in vector code that LLVM does not find by itself.

Each output pixel is the sum of a few input pixels times weights. A pixel of three values is read as four, of which the
last is thrown away, and two rows go together: each tap is then one operation on eight lanes. All pixels of a row have
the same number of taps, since a number that varies from pixel to pixel is one that the processor guesses wrong.
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
