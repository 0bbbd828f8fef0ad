"""Inverse DCTs of two blocks to a half, a quarter or an eighth of their size, for JPEGs that are decoded smaller.

Each sample is the mean of those that it stands for: the flow graph of Loeffler, Ligtenberg and Moschytz (1989), of
which libjpeg averages the outcome by two or four in each pass. In 13 bits behind the point, as libjpeg has it, and with
its results to the last bit.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.compiling.compilation import innermost_function, kernel
from ffcv_hydra.kernels.compiling.numba_internals import cgutils
from ffcv_hydra.kernels.compiling.pointers import bytes_at, int16s_at, int64s_at
from ffcv_hydra.kernels.compiling.vectors import INT8, INT16, INT32, Vectors
from ffcv_hydra.kernels.jpeg.blocks import BLOCK_LENGTH, SIZE, pair_of_blocks
from ffcv_hydra.kernels.jpeg.idct import COEFFICIENTS, inverse_transform, taken_rows
from ffcv_hydra.kernels.jpeg.markers import MAX_BLOCKS
from ffcv_hydra.kernels.memory.copies import zero_bytes

_POINT, _FIRST_POINT = 13, 2  # bits behind the point of the factors, and of the first pass's outcome
_LEVEL_BITS = 10  # of the outcome, which overflows beyond


def _fixed(*factors):
    return [round(factor * (1 << _POINT)) for factor in factors]


# per number of samples: which coefficients go into both halves of the outcome, and which into one and with the other
# sign into the other; their factors for each sample of the first half; by how many bits the sums are larger
_EVEN = {4: (0, 2, 6), 2: (0,)}
_ODD = (1, 3, 5, 7)
_EVEN_FACTORS = {4: [_fixed(2, 1.847759065, -0.765366865), _fixed(2, -1.847759065, 0.765366865)], 2: [_fixed(4)]}
_ODD_FACTORS = {
    4: [
        _fixed(2.562915447, 0.899976223, -0.601344887, -0.509795579),
        _fixed(1.061594337, -2.172734803, 1.451774981, -0.211164243),
    ],
    2: [_fixed(3.624509785, -1.272758580, 0.850430095, -0.720959822)],
}
_MORE_BITS = {4: 1, 2: 2}


def _sum(vectors, values, factors):
    products = [vectors.builder.mul(one, vectors.like(one, by)) for one, by in zip(values, factors, strict=True)]
    total = products[0]
    for product in products[1:]:
        total = vectors.builder.add(total, product)
    return total


def _pass(vectors, values, size, shift):
    """From eight vectors of int32, each of one place in many transforms, to `size`; divided and rounded."""
    builder, first, second = vectors.builder, [], []
    for even, odd in zip(_EVEN_FACTORS[size], _ODD_FACTORS[size], strict=True):
        one = _sum(vectors, [values[k] for k in _EVEN[size]], even)
        other = _sum(vectors, [values[k] for k in _ODD], odd)
        one = builder.add(one, vectors.like(one, 1 << (shift - 1)))
        first.append(builder.ashr(builder.add(one, other), vectors.like(one, shift)))
        second.append(builder.ashr(builder.sub(one, other), vectors.like(one, shift)))
    return first + second[::-1]


def _woven(vectors, rows):
    """The lanes of all vectors, in turn."""
    while len(rows) > 1:
        half = len(rows) // 2
        rows = [vectors.zipped(rows[i], rows[i + half]) for i in range(half)]
    return rows[0]


def _reduction(size):
    """An intrinsic as `inverse_transform`, to `size` samples in each direction."""

    @intrinsic
    def reduce(typing_context, coefficients, quantisers, targets, strides):
        def generate(context, builder, signature, arguments):
            vectors = Vectors(builder)
            coefficients, quantisers, targets, strides = (cgutils.unpack_tuple(builder, part) for part in arguments)
            rows = [vectors.widened(row, INT32, signed=True) for row in taken_rows(vectors, coefficients, quantisers)]
            bits = _POINT + _MORE_BITS[size]
            rows = _pass(vectors, rows, size, bits - _FIRST_POINT)
            rows = [vectors.clamped(row, -(1 << 15), (1 << 15) - 1) for row in rows]
            whole = _woven(vectors, [builder.trunc(row, ir.VectorType(INT16, 16)) for row in rows])
            columns = [
                vectors.shuffle(whole, whole, [size * (8 * block + k) + row for block in (0, 1) for row in range(size)])
                for k in range(8)
            ]
            columns = [vectors.widened(column, INT32, signed=True) for column in columns]
            columns = _pass(vectors, columns, size, bits + _FIRST_POINT + 3)
            levels = [builder.add(vectors.clamped(column, -128, 127), vectors.like(column, 128)) for column in columns]
            whole = _woven(vectors, [builder.trunc(level, ir.VectorType(INT8, 2 * size)) for level in levels])
            whole = builder.bitcast(whole, ir.VectorType(ir.IntType(8 * size), 2 * size))
            for block in range(2):
                for row in range(size):
                    samples = builder.extract_element(whole, ir.Constant(INT32, size * block + row))
                    at = builder.inttoptr(targets[block], samples.type.as_pointer())
                    builder.store(samples, at).align = 1
                    targets[block] = builder.add(targets[block], strides[block])
            return context.get_dummy_value()

        return types.void(coefficients, quantisers, targets, strides), generate

    return reduce


_to_halves, _to_quarters = _reduction(4), _reduction(2)


@innermost_function
def _to_mean(coefficients, quantisers, target):
    """The mean of a block, from its first coefficient."""
    level = (np.int64(int16s_at(coefficients, 1)[0]) * int16s_at(quantisers, 1)[0] + 4) >> 3
    level = level << (64 - _LEVEL_BITS) >> (64 - _LEVEL_BITS)
    bytes_at(target, 1)[0] = min(max(level, -128), 127) + 128
    zero_bytes(coefficients, 2 * COEFFICIENTS)


@kernel(types.int64(*[types.int64] * 3))
def transform_reduced(blocks, count, column):
    """Turn the coefficients of an MCU into fewer samples in the strip; zeros afterwards.

    Args:
        blocks: the address of int64 (MAX_BLOCKS, BLOCK_LENGTH), of `list_blocks`; those of a pair have one size.
        count: how many there are.
        column: of the MCU in the strip.

    Returns:
        1.
    """
    rows = int64s_at(blocks, (MAX_BLOCKS, BLOCK_LENGTH))
    for one in range(0, count, 2):
        coefficients, quantisers, targets, strides = pair_of_blocks(rows, one, column)
        size = rows[one, SIZE]
        if size == 4:
            _to_halves(coefficients, quantisers, targets, strides)
        elif size == 2:
            _to_quarters(coefficients, quantisers, targets, strides)
        elif size == 1:
            for i in range(2):
                _to_mean(coefficients[i], quantisers[i], targets[i])
        else:
            inverse_transform(coefficients, quantisers, targets, strides)
    return 1
