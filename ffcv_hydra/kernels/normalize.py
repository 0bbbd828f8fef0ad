"""Bytes looked up in a table per channel."""

from ffcv_hydra.kernels.compilation import kernel


@kernel("void(float32[:, ::1], uint8[:, :, ::1], float32[:, :, ::1])")
def look_up_32(table, source, target):
    """Fill `target` with table[value, channel].

    Args:
        table: float32 (256, C).
        source: uint8 (N, P, C), P pixels.
        target: float32 (N, P, C).
    """
    count, pixels, channels = source.shape
    for n in range(count):
        for i in range(pixels):
            for c in range(channels):
                target[n, i, c] = table[source[n, i, c], c]


@kernel("void(uint16[:, ::1], uint8[:, :, ::1], uint16[:, :, ::1])")
def look_up_16(table, source, target):
    """The same for values of 16 bits; float16 is passed as the uint16 of the same bits, because numba has none.

    Args:
        table: uint16 (256, C).
        source: uint8 (N, P, C), P pixels.
        target: uint16 (N, P, C).
    """
    count, pixels, channels = source.shape
    for n in range(count):
        for i in range(pixels):
            for c in range(channels):
                target[n, i, c] = table[source[n, i, c], c]
