"""From rows of luma and chroma to rows of RGB: libjpeg's "fancy" upsampling and its conversion, in vector code.

Chroma of half the width is interpolated with weights of 3 and 1 between its samples, in both directions where it has
half the height, too; R, G and B are those of JFIF in 16 bits behind the point. The results are libjpeg's, to the last
bit. A row of chroma sums is 4 times what is to be interpolated, or 3 times a row and once the other next to it.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.compiling.compilation import device_function, innermost_function
from ffcv_hydra.kernels.compiling.pointers import bytes_at
from ffcv_hydra.kernels.compiling.vectors import INT8, INT16, INT32, Vectors
from ffcv_hydra.kernels.memory.copies import copy_bytes

PIXELS = 32  # that are converted at once; so many may be read behind the end of a row

_RED, _GREEN_OF_RED, _GREEN_OF_BLUE, _BLUE = (round(factor * (1 << 16)) for factor in (1.402, 0.71414, 0.34414, 1.772))


def _halved_up(vectors, value, factor):
    """Lanes times `factor`, of 2 to the 15, halved and rounded."""
    product = vectors.high_product(vectors.builder.add(value, value), factor)
    one = vectors.like(product, 1)
    return vectors.builder.ashr(vectors.builder.add(product, one), one)


def _colours(vectors, luma, blue, red):
    """R, G and B, uint8 lanes, from int16 lanes of luma and of chroma around 0."""
    builder = vectors.builder
    factor = _RED - (1 << 16)
    first = builder.add(builder.add(luma, red), _halved_up(vectors, red, factor))
    factor = _BLUE - (2 << 16)
    third = builder.add(builder.add(luma, builder.add(blue, blue)), _halved_up(vectors, blue, factor))
    wide_blue, wide_red = (vectors.widened(part, INT32, signed=True) for part in (blue, red))
    mixed = builder.add(
        builder.mul(wide_blue, vectors.like(wide_blue, -_GREEN_OF_BLUE)),
        builder.mul(wide_red, vectors.like(wide_red, (1 << 16) - _GREEN_OF_RED)),
    )
    mixed = builder.ashr(builder.add(mixed, vectors.like(mixed, 1 << 15)), vectors.like(mixed, 16))
    second = builder.sub(builder.add(luma, builder.trunc(mixed, luma.type)), red)
    kind = ir.VectorType(INT8, luma.type.count)
    return [builder.trunc(vectors.clamped(part, 0, 255), kind) for part in (first, second, third)]


def _interpolated(vectors, sums, even, odd):
    """Chroma around 0, int16, from the sums at an address; `even` and `odd` are added before the shift."""
    builder = vectors.builder
    before, here, behind = (vectors.load(sums, 2 * offset, INT16, PIXELS // 2) for offset in (0, 1, 2))
    three = builder.add(here, builder.add(here, here))
    halves = []
    for other, half in ((before, even), (behind, odd)):
        rounding = vectors.filled(INT16, here.type.count, half)
        total = builder.add(builder.add(three, other), rounding)
        halves.append(builder.ashr(total, vectors.like(total, 4)))
    both = vectors.zipped(*halves)
    return builder.sub(both, vectors.like(both, 128))


@intrinsic
def _convert_halved(typing_context, luma, blue, red, even, odd, target):
    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder)
        luma, blue, red, even, odd, target = arguments
        chroma = [_interpolated(vectors, sums, even, odd) for sums in (blue, red)]
        values = vectors.widened(vectors.load(luma, 0, INT8, PIXELS), INT16, signed=False)
        vectors.store_pixels(_colours(vectors, values, *chroma), target)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), generate


@intrinsic
def _convert_whole(typing_context, luma, blue, red, target):
    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder)
        values, *chroma = (
            vectors.widened(vectors.load(part, 0, INT8, PIXELS), INT16, signed=False) for part in arguments[:3]
        )
        chroma = [builder.sub(part, vectors.like(part, 128)) for part in chroma]
        vectors.store_pixels(_colours(vectors, values, *chroma), arguments[3])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@intrinsic
def _sum_rows(typing_context, near, far, target):
    """Write 3 times PIXELS samples and once as many others as int16."""

    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder)
        one, other = (
            vectors.widened(vectors.load(part, 0, INT8, PIXELS), INT16, signed=False) for part in arguments[:2]
        )
        vectors.store(builder.add(builder.add(one, builder.add(one, one)), other), arguments[2])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


@innermost_function
def sum_rows(near, far, first, count, limit, sums):
    """Three times one row of chroma and once another, with the outermost samples repeated beyond the image.

    Args:
        near, far: the addresses of sample 0 of each row, uint8; the same one to have four times a row.
        first: of the samples that are wanted; may be -1.
        count: how many.
        limit: how many samples the rows of the image have.
        sums: the address of int16 (at least count + PIXELS,), written.
    """
    begin = max(0, first)
    skipped = begin - first
    at = sums + 2 * skipped
    stop = min(limit, first + count)
    for x in range(begin, stop, PIXELS):
        _sum_rows(near + x, far + x, at + 2 * (x - begin))  # type: ignore[call-arg]
    if skipped > 0:
        copy_bytes(sums, sums + 2, 2)
    for i in range(stop - first, count):
        copy_bytes(sums + 2 * i, sums + 2 * (i - 1), 2)


@innermost_function
def convert_row(luma, blue, red, width, halved, even, odd, rest, target):
    """One row of pixels.

    Args:
        luma: the address of the row's first sample.
        blue, red: the addresses of the row's first chroma samples; of the sums of the one before them if `halved`.
        width: pixels.
        halved: whether chroma has half the width; the first pixel is an even one then.
        even, odd: what is added to 16 times a pixel's chroma before it is divided, for even and odd pixels.
        rest: the address of 3 * PIXELS bytes, overwritten.
        target: the address of 3 * width bytes, written.
    """
    for x in range(0, width, PIXELS):
        is_whole = x + PIXELS <= width
        to = target + 3 * x if is_whole else rest
        if halved:
            _convert_halved(luma + x, blue + x, red + x, even, odd, to)  # type: ignore[call-arg]
        else:
            _convert_whole(luma + x, blue + x, red + x, to)  # type: ignore[call-arg]
        if not is_whole:
            copy_bytes(target + 3 * x, to, 3 * (width - x))


@device_function
def repeat_row(luma, width, target):
    """One row of gray pixels in RGB; the arguments are those of `convert_row`."""
    samples, pixels = bytes_at(luma, width), bytes_at(target, 3 * width)
    for x in range(width):
        for c in range(3):
            pixels[3 * x + c] = samples[x]
