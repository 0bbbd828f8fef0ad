"""Coefficients as one baseline scan, with the example tables of the standard (ITU-T T.81, F.1.2 and K.3).

Tables made for the image would save 2 %; but who reads one image after the other keeps tables that stay the same.
"""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, innermost_function, kernel
from ffcv_hydra.kernels.jpeg.bits import (
    POSITION,
    WRITER_LENGTH,
    has_room,
    load_int16,
    write_bits,
    write_marker,
    write_rest,
)
from ffcv_hydra.kernels.jpeg.coefficients import COLUMNS, FIRST_BLOCK, ROWS, STRIDE
from ffcv_hydra.kernels.jpeg.huffman import LAST, MAX_BLOCK_BYTES, category_of
from ffcv_hydra.kernels.jpeg.markers import (
    COMPONENT_FIELDS,
    COMPONENTS,
    EOI,
    FIRST_COMPONENT,
    MCU_WIDTH,
    WIDTH,
    num_mcus,
)

UNSUITABLE, TOO_LARGE = -1, -2  # codes of `write_baseline_scan`

_DC_SYMBOLS = bytes(range(12))
_AC_SYMBOLS = [run << 4 | category for run in range(16) for category in range(1, 11)] + [0x00, 0xF0]
_LUMINANCE_AC = "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282"
_CHROMINANCE_AC = "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f1"


def _ac_symbols(shorter: str) -> bytes:
    """All symbols in the order of their codes: those with less than 16 bits, then the others by their number."""
    first = bytes.fromhex(shorter)
    return first + bytes(sorted(set(_AC_SYMBOLS) - set(first)))


# Per table as a DHT has it: class and number, how many codes of 1 to 16 bits there are, and the symbols. T.81, tables
# K.3 and K.5 (of the first component), K.4 and K.6 (of the others).
STANDARD_TABLES = [
    b"\x00" + bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]) + _DC_SYMBOLS,
    b"\x10" + bytes([0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125]) + _ac_symbols(_LUMINANCE_AC),
    b"\x01" + bytes([0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]) + _DC_SYMBOLS,
    b"\x11" + bytes([0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119]) + _ac_symbols(_CHROMINANCE_AC),
]


def _codes(table: bytes) -> np.ndarray:
    """int64 (256,): for each symbol its code << 5 | the code's length, 0 if it has none (T.81, C.2)."""
    codes, code, position = np.zeros(256, dtype=np.int64), 0, 17
    for length in range(1, 17):
        for symbol in table[position : position + table[length]]:
            codes[symbol] = code << 5 | length
            code += 1
        position += table[length]
        code <<= 1
    return codes


_CODES = np.stack([_codes(table) for table in STANDARD_TABLES])  # rows: DC and AC of the first component, of the others


@innermost_function
def _write_value(writer, target, table, run, value):
    """Write the symbol of a coefficient or DC difference after `run` zeros, and its bits; whether it has a symbol."""
    category = category_of(value)
    code = _CODES[table, run << 4 | category]
    bits = value if value >= 0 else value + (1 << category) - 1
    if category > 11 or code == 0:
        return False
    write_bits(writer, target, np.uint64(code >> 5 << category | bits), (code & 31) + category)
    return True


@device_function
def _write_block(writer, target, table, block, difference):
    """Write one block; whether all values have symbols. `table` is that of its DC difference."""
    if not _write_value(writer, target, table, 0, difference):
        return False
    run = np.int64(0)
    for k in range(1, LAST + 1):
        value = np.int64(load_int16(block + 2 * k))
        if value == 0:
            run += 1
            continue
        while run > 15:
            _write_value(writer, target, table + 1, 15, np.int64(0))
            run -= 16
        if not _write_value(writer, target, table + 1, run, value):
            return False
        run = np.int64(0)
    return run == 0 or _write_value(writer, target, table + 1, 0, np.int64(0))


@kernel(
    types.int64(
        types.Array(types.int64, 1, "C"), types.Array(types.int64, 2, "C"), types.Array(types.int16, 2, "C"),
        types.int64, types.Array(types.uint8, 1, "C"),
    )
)  # fmt: skip
def write_baseline_scan(header, layout, coefficients, begin, target):
    """Write the entropy-coded data of one scan of all components with STANDARD_TABLES, and the end-of-image marker.

    Blocks beyond the image's edges, which no pixel is made of, are written as the shortest that there are.

    Args:
        header, layout, coefficients: as of `read_coefficients`.
        begin: where the data begins in `target`.
        target: uint8, written.

    Returns:
        Its end in `target`, or UNSUITABLE if a coefficient is too large for a baseline JPEG, or TOO_LARGE if `target`
        is too short.
    """
    writer = np.zeros(WRITER_LENGTH, dtype=np.uint64)
    writer[POSITION] = np.uint64(begin)
    predictions = np.zeros(header[COMPONENTS], dtype=np.int64)
    start = np.int64(coefficients.ctypes.data)
    beyond = np.zeros(LAST + 1, dtype=np.int16)
    across = (header[WIDTH] + header[MCU_WIDTH] - 1) // header[MCU_WIDTH]
    for m in range(num_mcus(header)):
        for c in range(header[COMPONENTS]):
            h, v = header[FIRST_COMPONENT + COMPONENT_FIELDS * c], header[FIRST_COMPONENT + COMPONENT_FIELDS * c + 1]
            for i in range(h * v):
                row, column = m // across * v + i // h, m % across * h + i % h
                block, dc = np.int64(beyond.ctypes.data), predictions[c]
                if row < layout[c, ROWS] and column < layout[c, COLUMNS]:
                    block = start + 128 * (layout[c, FIRST_BLOCK] + row * layout[c, STRIDE] + column)
                    dc = np.int64(load_int16(block))
                if not has_room(writer, target, 8 * MAX_BLOCK_BYTES):
                    return TOO_LARGE
                if not _write_block(writer, target, 2 * min(c, 1), block, dc - predictions[c]):
                    return UNSUITABLE
                predictions[c] = dc
    write_rest(writer, target)
    write_marker(writer, target, EOI)
    return np.int64(writer[POSITION])
