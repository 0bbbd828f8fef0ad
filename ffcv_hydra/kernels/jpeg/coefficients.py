"""All coefficients of a JPEG of several scans, progressive or sequential (ITU-T T.81, A.2 and annex G).

A scan of one component goes over that component's own blocks, row by row; one of several goes over the image's MCUs,
with blocks beyond the image's right and lower edges.
"""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.jpeg.bits import SLACK_BYTES, unstuff
from ffcv_hydra.kernels.jpeg.huffman import MAX_BLOCK_BYTES, NUM_TABLES, TABLE_LENGTH, address_of, read_tables
from ffcv_hydra.kernels.jpeg.markers import (
    COMPONENT_FIELDS,
    COMPONENTS,
    DHT,
    DRI,
    EOI,
    FIRST_COMPONENT,
    FRAME_TYPE,
    HEIGHT,
    MAX_COMPONENTS,
    MCU_HEIGHT,
    MCU_WIDTH,
    RESTART_INTERVAL,
    RST0,
    SCAN_POSITION,
    SOF_PROGRESSIVE,
    SOS,
    WIDTH,
    next_marker,
    num_mcus,
)
from ffcv_hydra.kernels.jpeg.progressive import read_scan_block
from ffcv_hydra.kernels.jpeg.scan import (
    ENTROPY,
    FIRST_MEMBER,
    HIGH,
    LOW,
    MEMBER_FIELDS,
    NOT_SENT,
    NUM_COMPONENTS,
    SCAN_LENGTH,
    SPECTRAL_END,
    SPECTRAL_START,
    parse_scan,
)

COEFFICIENTS_SLACK_BYTES = SLACK_BYTES + MAX_BLOCK_BYTES  # what the last block may seem to be made of

# Per component: its first block, blocks from one row to the next (all that MCUs have), and columns and rows of blocks
# without those beyond the image's edges.
LAYOUT_FIELDS = 4
FIRST_BLOCK, STRIDE, COLUMNS, ROWS = range(LAYOUT_FIELDS)

_bytes = types.Array(types.uint8, 1, "C", readonly=True)
_writable_bytes = types.Array(types.uint8, 1, "C")
_int64s = types.Array(types.int64, 1, "C")
_layouts = types.Array(types.int64, 2, "C")
_blocks = types.Array(types.int16, 2, "C")


def block_layout(header: np.ndarray) -> tuple[np.ndarray, int]:
    """How the blocks of a JPEG's components follow one another, component by component and row by row.

    Args:
        header: int64 (HEADER_LENGTH,), of `parse_whole_jpeg`.

    Returns:
        int64 (MAX_COMPONENTS, LAYOUT_FIELDS), and the number of all blocks.
    """
    layout, total = np.zeros((MAX_COMPONENTS, LAYOUT_FIELDS), dtype=np.int64), 0
    width, height, mcu_width, mcu_height = header[[WIDTH, HEIGHT, MCU_WIDTH, MCU_HEIGHT]].tolist()
    across, down = -(-width // mcu_width), -(-height // mcu_height)
    for c in range(int(header[COMPONENTS])):
        h, v = header[FIRST_COMPONENT + COMPONENT_FIELDS * c :][:2].tolist()
        layout[c] = total, across * h, -(-width * h // mcu_width), -(-height * v // mcu_height)
        total += across * h * down * v
    return layout, total


@device_function
def _read_scan(data, scan, interval, header, layout, tables, plain, coefficients):
    """Read the entropy-coded data of a scan; the position of the marker behind it, or -1."""
    address, blocks, stop = np.int64(plain.ctypes.data), np.int64(coefficients.ctypes.data), np.int64(len(data))
    first, last, high, low = scan[SPECTRAL_START], scan[SPECTRAL_END], scan[HIGH], scan[LOW]
    is_progressive, is_lone = header[FRAME_TYPE] == SOF_PROGRESSIVE, scan[NUM_COMPONENTS] == 1
    across, total = (header[WIDTH] + header[MCU_WIDTH] - 1) // header[MCU_WIDTH], num_mcus(header)
    if is_lone:
        across = layout[scan[FIRST_MEMBER], COLUMNS]
        total = across * layout[scan[FIRST_MEMBER], ROWS]
    at, count = unstuff(data, scan[ENTROPY], stop, plain)
    predictions = np.zeros(MAX_COMPONENTS, dtype=np.int64)
    bit = run = np.int64(0)
    for m in range(total):
        if interval > 0 and m > 0 and m % interval == 0:
            if run > 0 or 8 * count - bit >= 8 or at < 0 or data[at + 1] != RST0 + (m // interval - 1) % 8:
                return np.int64(-1)
            at, count = unstuff(data, at + 2, stop, plain)
            bit = np.int64(0)
            predictions[:] = 0
        for member in range(FIRST_MEMBER, FIRST_MEMBER + MEMBER_FIELDS * scan[NUM_COMPONENTS], MEMBER_FIELDS):
            c = scan[member]
            dc, ac = address_of(tables, scan[member + 1]), address_of(tables, scan[member + 2])
            h, v = header[FIRST_COMPONENT + COMPONENT_FIELDS * c], header[FIRST_COMPONENT + COMPONENT_FIELDS * c + 1]
            if is_lone:
                h = v = np.int64(1)
            for i in range(h * v):
                row, column = m // across * v + i // h, m % across * h + i % h
                block = blocks + 128 * (layout[c, FIRST_BLOCK] + row * layout[c, STRIDE] + column)
                bit, run, predictions[c] = read_scan_block(
                    address, bit, run, dc, ac, first, last, high, low, is_progressive, predictions[c], block
                )
                if bit < 0 or bit > 8 * count:
                    return np.int64(-1)
    return at if run == 0 and 8 * count - bit < 8 else np.int64(-1)


@device_function
def _find_scan(data, at, interval):
    """The position of the next SOS, or -1, and the restart interval there; only tables of codes may come before it."""
    while True:
        at = next_marker(data, at, len(data))
        if at < 0:
            return at, interval
        marker, length = data[at + 1], np.int64(data[at + 2]) << 8 | np.int64(data[at + 3])
        if marker == SOS:
            return at, interval
        if marker == DRI and length == 4:
            interval = np.int64(data[at + 4]) << 8 | np.int64(data[at + 5])
        elif marker != DHT:
            return np.int64(-1), interval
        at += 2 + length


@kernel(types.int64(_bytes, _int64s, _layouts, _writable_bytes, _blocks))
def read_coefficients(data, header, layout, plain, coefficients):
    """Read all scans of a Huffman-coded JPEG of 8 bits.

    Whatever the bytes are, nothing outside of the arrays is read or written. Refused, beside what is damaged, is what
    decoders accept though no encoder should write it: coefficients that are not sent to their last bit or more than
    once, bytes behind the last MCU of a scan, segments between scans that are neither DHT nor DRI.

    Args:
        data: uint8 (num_bytes,), the JPEG.
        header: int64 (HEADER_LENGTH,), of `parse_whole_jpeg`.
        layout: of `block_layout`.
        plain: uint8, scratch; at least num_bytes + COEFFICIENTS_SLACK_BYTES long.
        coefficients: int16 (number of blocks, 64), zeros; filled with quantised coefficients in zigzag order.

    Returns:
        1, or 0 if it is refused.
    """
    tables = np.zeros((NUM_TABLES, TABLE_LENGTH), dtype=np.int32)
    progress = np.full((MAX_COMPONENTS, 64), NOT_SENT, dtype=np.int64)
    progress[header[COMPONENTS] :] = 0
    scan = np.zeros(SCAN_LENGTH, dtype=np.int64)
    is_progressive = header[FRAME_TYPE] == SOF_PROGRESSIVE
    begin, at, interval = np.int64(2), header[SCAN_POSITION], header[RESTART_INTERVAL]
    while True:
        if not read_tables(data, begin, at, tables, is_progressive):
            return 0
        if not parse_scan(data, at, header, is_progressive, tables, progress, scan):
            return 0
        begin = _read_scan(data, scan, interval, header, layout, tables, plain, coefficients)
        if begin < 0:
            return 0
        if data[begin + 1] == EOI:
            return np.int64((progress == 0).all())
        at, interval = _find_scan(data, begin, interval)
        if at < 0:
            return 0
