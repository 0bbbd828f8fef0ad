"""Run-length coding of masks: lossless, and small where neighbouring pixels have the same class.

A mask is a series of runs in row order, across the ends of rows: the class id (one byte), then how many pixels have it
(at least 1), as an unsigned LEB128 number (seven bits per byte, the lowest first; the eighth bit says that more follow;
as in DWARF 5, section 7.6). Two bytes per run below 128 pixels; a mask without any runs takes two bytes per pixel.
"""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.compiling.pointers import bytes_at

_MAX_SHIFT = 56  # nine groups of seven bits fit an int64

_bytes = types.Array(types.uint8, 1, "C", readonly=True)
_writable_bytes = types.Array(types.uint8, 1, "C")


@kernel(types.int64(_bytes, _writable_bytes))
def _encode(pixels, target):
    """Write the runs of `pixels`, uint8 (P,), to `target`, uint8 (2 * P,), and return how many bytes they take."""
    at = 0
    begin = 0
    while begin < len(pixels):
        value = pixels[begin]
        end = begin + 1
        while end < len(pixels) and pixels[end] == value:
            end += 1
        target[at] = value
        at += 1
        length = end - begin
        while length >= 128:
            target[at] = np.uint8(length & 127 | 128)
            at += 1
            length >>= 7
        target[at] = np.uint8(length)
        at += 1
        begin = end
    return at


def encode_runs(pixels: np.ndarray) -> np.ndarray:
    """Run-length code a mask.

    Args:
        pixels: uint8 (H, W).

    Returns:
        uint8 (num_bytes,), at most two bytes per pixel.

    Raises:
        TypeError: if the mask has another dtype.
    """
    target = np.empty(2 * pixels.size, dtype=np.uint8)
    return target[: _encode(np.ascontiguousarray(pixels).reshape(-1), target)].copy()


@device_function
def _decode(data, target):
    at, end = np.int64(0), len(data)
    begin = np.int64(0)
    while at < end:
        value = data[at]
        at += 1
        length = np.int64(0)
        shift = np.int64(0)
        while True:
            if at == end or shift > _MAX_SHIFT:
                return False
            group = np.int64(data[at])
            at += 1
            length |= (group & 127) << shift
            shift += 7
            if group < 128:
                break
        if length < 1 or length > len(target) - begin:
            return False
        target[begin : begin + length] = value
        begin += length
    return begin == len(target)


@kernel(types.boolean(_bytes, _writable_bytes))
def decode_whole_mask(data, target):
    """Decode a run-length coded mask; whatever the bytes are, nothing outside of them is read.

    Args:
        data: uint8 (num_bytes,), the runs.
        target: uint8 (P,), written; nothing outside of it is.

    Returns:
        Whether the bytes are whole runs that fill `target` exactly. If not, `target` may be partly written.
    """
    return _decode(data, target)


@kernel(types.int64(*[types.int64] * 4))
def decode_runs(data, num_bytes, target, num_pixels):
    """`decode_whole_mask` of addresses and lengths; 1 or 0."""
    return np.int64(_decode(bytes_at(data, num_bytes), bytes_at(target, num_pixels)))
