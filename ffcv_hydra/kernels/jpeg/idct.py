"""The inverse DCT of two blocks at once: the flow graph of Arai, Agui and Nakajima (1988) in 16-bit integers.

In vector code. Word length, roundings and the order of the passes are those of libjpeg's "fast integer" method, which
FFCV's pixels are made with, and so are the results, to the last bit. Coefficients come times their quantiser and the
graph's scale factors, with 2 bits behind the point.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.compiling.compilation import device_function, innermost_function
from ffcv_hydra.kernels.compiling.numba_internals import cgutils
from ffcv_hydra.kernels.compiling.vectors import INT8, INT16, Vectors

COEFFICIENTS = 64  # of a block, 8 rows of 8

_POINT = 2  # bits behind the point of a coefficient
_FACTOR_BITS = 8
_SQRT_2, _C1847, _C1082, _C1613 = 362, 473, 277, 413  # of 256; the last one stands for 2.613, less 1


def _scale_factors():
    """int64 (64,), the graph's scale factors in 14 bits."""
    one = [1.0] + [math.cos(k * math.pi / 16) * math.sqrt(2) for k in range(1, 8)]
    return np.array([round((1 << 14) * row * column) for row in one for column in one], dtype=np.int64)


_SCALE_FACTORS = _scale_factors()


@device_function
def scale_quantisers(quantisers, scaled):
    """Multiply quantisers, int16 (64,) in rows, by the graph's scale factors."""
    shift = 14 - _POINT
    for i in range(COEFFICIENTS):
        scaled[i] = (np.int64(quantisers[i]) * _SCALE_FACTORS[i] + (1 << (shift - 1))) >> shift


def _times(vectors, value, factor):
    """Lanes times `factor` / 256, rounded down; in the words of 16 bits that overflow where libjpeg's do."""
    shift = 16 - _FACTOR_BITS - _POINT
    shifted = vectors.builder.shl(value, vectors.like(value, _POINT))
    return vectors.high_product(shifted, factor << shift)


def _pass(vectors, rows):
    """One pass over eight vectors, of which each holds the values of one place in eight transforms."""
    add, sub = vectors.builder.add, vectors.builder.sub
    outer, inner = add(rows[0], rows[4]), sub(rows[0], rows[4])
    both = add(rows[2], rows[6])
    turned = sub(_times(vectors, sub(rows[2], rows[6]), _SQRT_2), both)
    even = [add(outer, both), add(inner, turned), sub(inner, turned), sub(outer, both)]

    z13, z10 = add(rows[5], rows[3]), sub(rows[5], rows[3])
    z11, z12 = add(rows[1], rows[7]), sub(rows[1], rows[7])
    rotated = _times(vectors, add(z10, z12), _C1847)
    odd_0 = add(z11, z13)
    odd_1 = sub(add(sub(_times(vectors, z10, -_C1613), z10), rotated), odd_0)
    odd_2 = sub(_times(vectors, sub(z11, z13), _SQRT_2), odd_1)
    odd_3 = add(sub(_times(vectors, z12, _C1082), rotated), odd_2)
    odd = [odd_0, odd_1, odd_2, vectors.builder.neg(odd_3)]
    top = [add(one, other) for one, other in zip(even, odd, strict=True)]
    bottom = [sub(one, other) for one, other in zip(even, odd, strict=True)]
    return top + bottom[::-1]


# the lanes of two vectors in turn, from one half of each block
_FIRST_HALVES, _SECOND_HALVES = (
    [16 * vector + 8 * block + lane + begin for block in (0, 1) for lane in range(4) for vector in (0, 1)]
    for begin in (0, 4)
)


def _transposed(vectors, rows):
    """Eight vectors, of eight lanes for each of two blocks, with rows and columns exchanged."""
    for _ in range(3):  # each time a bit of the row's number changes places with one of the lane's
        rows = [
            vectors.shuffle(rows[i], rows[i + 4], order) for i in range(4) for order in (_FIRST_HALVES, _SECOND_HALVES)
        ]
    return rows


def taken_rows(vectors, coefficients, quantisers):
    """Eight int16 vectors, of eight lanes for each of two blocks: coefficients times quantisers. Zeros stay there."""
    rows = []
    for row in range(8):
        values, factors = (
            vectors.joined(*(vectors.load(address, 16 * row, INT16, 8) for address in addresses))
            for addresses in (coefficients, quantisers)
        )
        rows.append(vectors.builder.mul(values, factors))
        for address in coefficients:
            vectors.store(vectors.constant(INT16, 8, 0), address, 16 * row)
    return rows


@intrinsic
def _transform(typing_context, coefficients, quantisers, targets, strides):
    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder)
        coefficients, quantisers, targets, strides = (cgutils.unpack_tuple(builder, part) for part in arguments)
        rows = taken_rows(vectors, coefficients, quantisers)
        rows = _transposed(vectors, _pass(vectors, _transposed(vectors, _pass(vectors, rows))))
        for row in rows:
            levels = vectors.clamped(builder.ashr(row, vectors.like(row, _POINT + 3)), -128, 127)
            levels = builder.trunc(builder.add(levels, vectors.like(levels, 128)), ir.VectorType(INT8, 16))
            for block in range(2):
                vectors.store(vectors.shuffle(levels, levels, range(8 * block, 8 * block + 8)), targets[block])
                targets[block] = builder.add(targets[block], strides[block])
        return context.get_dummy_value()

    return types.void(coefficients, quantisers, targets, strides), generate


@innermost_function
def inverse_transform(coefficients, quantisers, targets, strides):
    """From the coefficients of two blocks to their samples.

    Args:
        coefficients: two addresses of int16 (64,), rows; zeros afterwards.
        quantisers: two addresses of int16 (64,), rows, as `scale_quantisers` leaves them.
        targets: two addresses of the first of eight rows of eight uint8 samples, which are written.
        strides: bytes from row to row, for each of the two.
    """
    _transform(coefficients, quantisers, targets, strides)  # type: ignore[call-arg]  # numba adds the typing context
