"""Changes of a pixel's value that depend on that value alone.

The pixels are torchvision's for uint8 tensors: computed in float32 and cut to integers. A blend is done in 16-bit
lanes, six times as fast, where a line in 16 bits gives the same for each of the 256 values, which nearly all factors
up to 2 have.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.colour.pixels import change_in_vectors
from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.vectors import INT8, INT16, Vectors
from ffcv_hydra.kernels.memory.copies import copy_bytes

_VALUES = 64  # that are changed at once
_STRETCH = 4096  # values that are changed in memory of their own: LLVM vectorises no loop that writes what it reads

# What is added to slope and offset, rounded down, until they fit.
_STEPS = tuple((slope, offset) for offset in (0, 1, 2) for slope in (1, 0, 2, -1))


@device_function
def as_level(value):
    """A float cut to an integer level in [0, 255]."""
    return np.uint8(np.int32(min(max(value, np.float32(0)), np.float32(255))))


def _blending(rising):
    """An intrinsic that writes slope * x + offset for 64 values x, or slope * x - offset, at least 0, if `rising`.

    They have 16 and 8 bits behind the point, or 15 and 7 if `rising`. Pairs of values are taken as 16-bit lanes, and
    each of a pair is multiplied as the upper half of one, with nothing in the lower: so no byte changes its place.
    """

    @intrinsic
    def blend(typing_context, source, target, slope, offset):
        def generate(context, builder, signature, arguments):
            vectors = Vectors(builder)
            both = vectors.load(arguments[0], 0, INT16, _VALUES // 2)
            slopes, offsets = (vectors.filled(INT16, _VALUES // 2, number) for number in arguments[2:])
            eight, upper = vectors.like(both, 8), vectors.like(both, 0xFF00)
            blended = []
            for value in (builder.shl(both, eight), builder.and_(both, upper)):
                product = vectors.upper_product(value, slopes)
                if rising:
                    product = vectors.capped("usub", product, offsets)
                    blended.append(vectors.capped("uadd", product, product))
                else:
                    blended.append(builder.add(product, offsets))
            result = builder.or_(builder.lshr(blended[0], eight), builder.and_(blended[1], upper))
            vectors.store(result, arguments[1])
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), generate

    return blend


_blend_rising, _blend_falling = _blending(rising=True), _blending(rising=False)


@device_function
def _blend_in_lanes(rising, slope, offset, source, target):
    """Blend as many values as fill vectors; images as arrays of one axis. Returns how many."""
    count = len(source) // _VALUES * _VALUES
    before, after = source.ctypes.data, target.ctypes.data
    if rising:
        for i in range(0, count, _VALUES):
            _blend_rising(before + i, after + i, slope, offset)
    else:
        for i in range(0, count, _VALUES):
            _blend_falling(before + i, after + i, slope, offset)
    return count


@device_function
def _blend_in_floats(factor, other, source, target):
    blended = np.empty(_STRETCH, dtype=np.uint8)
    for begin in range(0, len(source), _STRETCH):
        part = source[begin : begin + _STRETCH]
        for i in range(len(part)):
            blended[i] = as_level(factor * np.float32(part[i]) + other)
        copy_bytes(target.ctypes.data + begin, blended.ctypes.data, len(part))


@device_function
def blend_with_level(factor, level, source, target):
    """`factor * x + (1 - factor) * level` for every value x of an image; `target` may be `source`.

    The operation behind brightness (level 0) and contrast (level: the mean of the image).
    """
    before, after = source.reshape(-1), target.reshape(-1)
    share, other = np.float32(factor), np.float32((1.0 - factor) * level)
    done = 0
    if factor < 2:
        values = np.arange(256).astype(np.uint8)
        wanted, found = np.empty_like(values), np.empty_like(values)
        _blend_in_floats(share, other, values, wanted)
        rising = factor >= 1
        unit = 128.0 if rising else 256.0
        for slope_step, offset_step in _STEPS:
            slope = min(int(factor * unit * 256) + slope_step, 0xFFFF)
            offset = int(abs(other) * unit) + offset_step
            _blend_in_lanes(rising, slope, offset, values, found)
            if np.all(found == wanted):
                done = _blend_in_lanes(rising, slope, offset, before, after)
                break
    _blend_in_floats(share, other, before[done:], after[done:])


@intrinsic
def _invert_from(typing_context, source, target, least):
    """Write 64 values, inverted where they are at least `least`."""

    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder)
        values = vectors.load(arguments[0], 0, INT8, _VALUES)
        stays = builder.icmp_unsigned("<", values, vectors.filled(INT8, _VALUES, arguments[2]))
        vectors.store(builder.select(stays, values, builder.xor(values, vectors.like(values, 0xFF))), arguments[1])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


@intrinsic
def _mask(typing_context, source, target, mask):
    """Write those bits of 64 values that a mask has."""

    def generate(context, builder, signature, arguments):
        vectors = Vectors(builder)
        values = vectors.load(arguments[0], 0, INT8, _VALUES)
        vectors.store(builder.and_(values, vectors.filled(INT8, _VALUES, arguments[2])), arguments[1])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


@device_function
def solarize(threshold, source, target):
    """Invert the values of at least `threshold`, of 0 to 255; `target` may be `source`."""
    change_in_vectors(_invert_from, _VALUES, (np.int64(np.ceil(threshold)),), source, target)


@device_function
def posterize(bits, source, target):
    """Keep the `bits` highest bits (0 to 8) of every value; `target` may be `source`."""
    change_in_vectors(_mask, _VALUES, (np.int64(0xFF << (8 - bits)),), source, target)
