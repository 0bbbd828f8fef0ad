"""Turning the hue of an image, by the hexcone model (Smith, "Color gamut transform pairs", SIGGRAPH 1978).

A pixel keeps its largest and its smallest value, if in other channels, and what the third one gets is on a line between
them: one product for each pixel. It is done in vector code, with 16 bits behind the point.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ffcv_hydra.kernels.colour.pixels import change_in_vectors
from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.vectors import INT8, INT16, Vectors
from ffcv_hydra.kernels.memory.copies import copy_bytes

_PIXELS = 64  # that are changed at once

# torchvision maps [0, 1] to bytes with 255.999, cut: n and a fraction, in 2 ** -16, are cut to n + 1 if the fraction is
# at least _FULL - n * 256 * _LESS / 2 ** 16
_FULL, _LESS = 65281, 65470


def _middle(vectors, low, chroma, more, less, share):
    """What a turn makes of the value between the smallest, `low`, and the largest one, `chroma` above it.

    With Q = more - less + share * chroma it is low + Q if that is between the two, and mirrored in them if it is not:
    low - Q below, low + 2 * chroma - Q above.

    Args:
        more, less: of the two values behind the largest one, by how much the first one is larger or smaller.
        share: 16-bit lanes, in units of 2 ** -16.

    Returns:
        The value, whether Q is below 0, and whether it is at least `chroma`.
    """
    builder, halves = vectors.builder, vectors.halves(chroma)
    part = vectors.whole(*(vectors.upper_product(half, share) for half in halves))
    is_below = builder.icmp_unsigned("<", part, less)
    is_above = builder.icmp_unsigned(">=", part, builder.sub(chroma, more))
    mirrored = builder.sext(builder.or_(is_below, is_above), chroma.type)  # -Q is -1 - q and 1 - fraction
    middle = builder.xor(builder.sub(builder.add(part, more), less), mirrored)
    twice = builder.select(is_above, builder.add(chroma, chroma), vectors.like(chroma, 0))
    middle = builder.add(builder.add(middle, twice), low)
    values, signs = (builder.bitcast(value, share.type) for value in (middle, mirrored))
    eight, upper = vectors.like(share, 8), vectors.like(share, 0xFF00)
    values = builder.shl(values, eight), builder.and_(values, upper)
    signs = builder.ashr(builder.shl(signs, eight), eight), builder.ashr(signs, eight)
    carries = []
    for half, value, sign in zip(halves, values, signs, strict=True):
        fraction = builder.xor(builder.mul(half, share), sign)
        less_by = vectors.upper_product(value, vectors.like(value, _LESS))
        carry = builder.icmp_unsigned(">=", fraction, builder.sub(vectors.like(value, _FULL), less_by))
        carries.append(builder.zext(carry, value.type))
    return builder.add(middle, vectors.whole(*carries)), is_below, is_above


@intrinsic
def _turn(typing_context, source, target, share, backwards, places):
    """Turn the hues of 64 pixels.

    Args:
        share: of a sixth of the circle, in units of 2 ** -16.
        backwards: 1 if it is turned back by that, else 0.
        places: in byte n, which channel behind that of the largest value comes to be the n-th one behind it, for turns
            by whole thirds.
    """

    def generate(context, builder, signature, arguments):
        source, target, share, backwards, places = arguments
        vectors = Vectors(builder)

        def chosen(relation, first, second):
            return builder.select(builder.icmp_unsigned(relation, first, second), first, second)

        def is_byte(number, value):
            found = vectors.filled(INT8, _PIXELS, number)
            return builder.icmp_unsigned("==", found, vectors.like(found, value))

        red, green, blue = vectors.load_pixels(source, _PIXELS)
        high, low = (chosen(relation, chosen(relation, red, green), blue) for relation in (">", "<"))
        is_red, is_green = (builder.icmp_unsigned("==", high, channel) for channel in (red, green))

        def by_highest(if_red, if_green, if_blue):
            return builder.select(is_red, if_red, builder.select(is_green, if_green, if_blue))

        behind = by_highest(green, blue, red), by_highest(blue, red, green)
        is_forwards = is_byte(backwards, 0)
        first, second = (builder.select(is_forwards, *pair) for pair in (behind, behind[::-1]))
        more, less = vectors.capped("usub", first, second), vectors.capped("usub", second, first)
        shares = vectors.filled(INT16, _PIXELS // 2, share)
        middle, is_below, is_above = _middle(vectors, low, builder.sub(high, low), more, less, shares)
        turned = (
            builder.select(is_above, middle, high),
            builder.select(is_below, low, builder.select(is_above, high, middle)),
            builder.select(is_below, middle, low),
        )
        moved = []
        for n in range(3):
            place = builder.lshr(places, ir.Constant(places.type, 8 * n))
            others = builder.select(is_byte(place, 1), turned[1], turned[2])
            moved.append(builder.select(is_byte(place, 0), turned[0], others))
        vectors.store_pixels([by_highest(*(moved[(c - k) % 3] for k in range(3))) for c in range(3)], target)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


@device_function
def adjust_hue(turn, source, target):
    """Turn the hue of each pixel of an image; its largest and its smallest value stay, if in other channels.

    Args:
        turn: a share of the circle, in [-0.5, 0.5].
        source, target: uint8 (H, W, 1 or 3), which may be the same one. One channel has no hue and is copied.
    """
    if source.shape[2] != 3:
        copy_bytes(target.ctypes.data, source.ctypes.data, source.size)
        return
    thirds = int(np.rint(3 * turn))
    sixths = 6 * turn - 2 * thirds  # -1 to 1
    backwards, places = np.int64(sixths < 0), np.int64(0)
    for n in range(3):
        behind = thirds - n if backwards else n - thirds  # backwards is forwards among mirrored hues
        places |= behind % 3 << 8 * n
    share = min(int(abs(sixths) * (1 << 16) + 0.5), 0xFFFF)
    change_in_vectors(_turn, 3 * _PIXELS, (share, backwards, places), source, target)
