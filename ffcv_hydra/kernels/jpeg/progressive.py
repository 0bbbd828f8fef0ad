"""The coefficients that one scan sends of one block, read from bytes without stuffing (ITU-T T.81, F.2.2 and G.1.2).

A band of AC coefficients may end in many blocks at once, the end-of-band run. Blocks are at addresses: 64 int16 in
zigzag order. What is none is an error: a code without a meaning, more zeros than the band has, a coefficient that no
baseline JPEG can hold.
"""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.compiling.pointers import store_int16
from ffcv_hydra.kernels.jpeg.bits import load_int16, window_at
from ffcv_hydra.kernels.jpeg.huffman import END_OF_BLOCK, MAX_AC_CATEGORY, read_dc, read_symbol, value_of

_MAX_DC = 0x7FFF
_ITEM_BYTES = 2


@device_function
def _store(block, k, value):
    store_int16(block + _ITEM_BYTES * k, value)  # type: ignore[call-arg]  # numba adds the typing context


@device_function
def _end_of_band_run(window, bits, more):
    """How many blocks, this one included, a symbol at the top of a window ends the band of."""
    return np.int64(1) << more | np.int64(window << np.uint64(bits - more) >> np.uint64(1) >> np.uint64(63 - more))


@device_function
def _first_ac(address, bit, table, first, last, low, is_progressive, block):
    """Read the upper bits of a band; the bit after it, or -1, and in how many blocks more it ends at once."""
    k = first
    while k <= last:
        window = window_at(address, bit)
        bits, meaning, more = read_symbol(window, True, table, is_progressive)
        bit += bits
        if meaning == END_OF_BLOCK:
            return bit, _end_of_band_run(window, bits, more) - 1
        k += meaning
        if k > last + 1 or (more > 0 and more + low > MAX_AC_CATEGORY):
            return np.int64(-1), np.int64(0)
        if more > 0:
            _store(block, k - 1, value_of(window, bits, more) << low)
    return bit, np.int64(0)


@device_function
def _refine_until(zeros, address, bit, k, last, low, block):
    """Read the next bit of all coefficients from `k` on that are not 0, up to the one that is 0 for that many times.

    Returns the bit after them, and the place of that coefficient, which is `last` + 1 if there is none.
    """
    while k <= last:
        value = np.int64(load_int16(block + _ITEM_BYTES * k))
        if value == 0:
            zeros -= 1
            if zeros == 0:
                break
        else:
            step = np.int64(window_at(address, bit) >> np.uint64(63)) << low
            _store(block, k, value + (step if value > 0 else -step))
            bit += 1
        k += 1
    return bit, k


@device_function
def _refined_ac(address, bit, run, table, first, last, low, block):
    """Read the next bit of a band; the bit after it, or -1, and in how many blocks more it ends at once."""
    k = first
    while run == 0 and k <= last:
        window = window_at(address, bit)
        bits, zeros, more = read_symbol(window, True, table, True)
        bit += bits
        if zeros == END_OF_BLOCK:
            run = _end_of_band_run(window, bits, more)
            break
        bit, k = _refine_until(zeros, address, bit, k, last, low, block)
        if k > last or more > 1:
            return np.int64(-1), np.int64(0)
        if more == 1:
            _store(block, k, value_of(window, bits, 1) << low)
        k += 1
    if run == 0:
        return bit, np.int64(0)
    bit, _ = _refine_until(np.int64(last + 1), address, bit, k, last, low, block)
    return bit, run - 1


@device_function
def read_scan_block(address, bit, run, dc, ac, first, last, high, low, is_progressive, prediction, block):
    """Read what a scan sends of one block.

    Args:
        address, bit: where it is.
        run: in how many blocks, from this one on, the band ends at once.
        dc, ac: the addresses of tables (see `huffman`).
        first, last: coefficients of the scan, 0 to 63.
        high, low: of the scan: the bit that was sent last of them, 0 if none was, and the one that is sent.
        prediction: the DC coefficient of the component's block before, without the bits below `low`.
        block: the address of int16 (64,), in zigzag order, with what was sent before; updated.

    Returns:
        The bit after it, or -1 if it is none; `run` for the next block; `prediction` for the next block.
    """
    if first == 0:
        if high > 0:
            sent = np.int64(window_at(address, bit) >> np.uint64(63)) << low
            _store(block, 0, np.int64(load_int16(block)) | sent)
            return bit + 1, run, prediction
        bit, difference = read_dc(address, bit, dc)
        prediction += difference
        if bit < 0 or abs(prediction) << low > _MAX_DC:
            return np.int64(-1), run, prediction
        _store(block, 0, prediction << low)
        first = 1
    if high > 0:
        bit, run = _refined_ac(address, bit, run, ac, first, last, low, block)
    elif run > 0:
        run -= 1
    else:
        bit, run = _first_ac(address, bit, ac, first, last, low, is_progressive, block)
    return bit, run, prediction
