"""Symmetric weighted sums of rows of 16-bit numbers, in vector code: the passes of a blur.

A weight belongs to the mean of two numbers that are equally far from the middle one, so that half the products suffice
and nothing is longer than 16 bits.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.compiling.numba_internals import cgutils
from ffcv_hydra.kernels.compiling.vectors import INT8, INT16, INT32, INT64, Vectors

LANES = 64  # that are computed at once: enough sums side by side that none waits for its last step


def _symmetric_sums(outcome):
    """An intrinsic that writes `LANES` sums as uint16, or their upper halves as bytes.

    Its arguments are all int64: the address of addresses of uint16, that of the middle numbers first and then two for
    each pair; by how many bytes they are moved on; the address of uint16 weights, the middle one first, in units of
    2 ** -16; how many pairs there are; what is added; and where the sums go.
    """

    @intrinsic
    def sums(typing_context, rows, offset, weights, pairs, start, target):
        def generate(context, builder, signature, arguments):
            rows, offset, weights, pairs, start, target = arguments
            vectors, kind = Vectors(builder), ir.VectorType(INT16, LANES)
            zero, one = ir.Constant(INT64, 0), ir.Constant(INT64, 1)

            def entry(table, position, number):
                return builder.load(builder.gep(builder.inttoptr(table, number.as_pointer()), [position]))

            def spread(number):
                first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(INT32, 0))
                return vectors.shuffle(first, first, [0] * LANES)

            def widened(value):
                return vectors.widened(value, INT32, signed=False)

            def loaded(position):
                return vectors.load(builder.add(entry(rows, position, INT64), offset), 0, INT16, LANES)

            def weighted(value, position):
                product = builder.mul(widened(value), widened(spread(entry(weights, position, INT16))))
                return builder.trunc(builder.lshr(product, vectors.like(product, 16)), kind)

            total = builder.add(weighted(loaded(zero), zero), spread(builder.trunc(start, INT16)))
            kept = cgutils.alloca_once_value(builder, total)
            builder.store(total, kept)
            with cgutils.for_range(builder, pairs) as loop:
                pair = builder.add(loop.index, one)
                second = builder.add(pair, pair)
                mean = builder.add(widened(loaded(builder.sub(second, one))), widened(loaded(second)))
                mean = builder.add(mean, vectors.like(mean, 1))
                mean = builder.trunc(builder.lshr(mean, vectors.like(mean, 1)), kind)
                builder.store(builder.add(builder.load(kept), weighted(mean, pair)), kept)
            total = builder.load(kept)
            if outcome is INT8:
                total = builder.trunc(builder.lshr(total, vectors.like(total, 8)), ir.VectorType(INT8, LANES))
            vectors.store(total, target)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), generate

    return sums


symmetric_sums, symmetric_sums_as_bytes = _symmetric_sums(INT16), _symmetric_sums(INT8)
