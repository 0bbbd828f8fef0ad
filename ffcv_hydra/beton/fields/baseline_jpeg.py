"""Progressive JPEGs, and sequential ones of several scans, as baseline JPEGs with the same coefficients."""

from __future__ import annotations

import struct

import numpy as np

from ffcv_hydra.kernels.jpeg.baseline import STANDARD_TABLES, TOO_LARGE, write_baseline_scan
from ffcv_hydra.kernels.jpeg.coefficients import (
    COEFFICIENTS_SLACK_BYTES,
    COLUMNS,
    ROWS,
    block_layout,
    read_coefficients,
)
from ffcv_hydra.kernels.jpeg.markers import (
    COMPONENTS,
    DHT,
    DRI,
    FRAME_TYPE,
    HEADER_LENGTH,
    IS_BASELINE,
    SCAN_POSITION,
    SIZE_POSITION,
    SOF_BASELINE,
    SOF_EXTENDED,
    SOF_PROGRESSIVE,
    SOS,
)
from ffcv_hydra.kernels.jpeg.transcode import parse_whole_jpeg


def to_baseline(jpeg: np.ndarray) -> np.ndarray | None:
    """The same coefficients in one sequential scan, with the standard's Huffman tables and without restart markers.

    The other segments before the first scan (APPn, COM, DQT and all else) stay as they are, in their order.

    Args:
        jpeg: uint8 (num_bytes,).

    Returns:
        uint8 (num_bytes,), or None if it is damaged or unusual (see `read_coefficients`), or has arithmetic coding, 12
        bits, another number of components than 1 and 3, or more blocks in an MCU than a baseline JPEG can have.
    """
    header, written = np.empty((2, HEADER_LENGTH), dtype=np.int64)
    if parse_whole_jpeg(jpeg, header) != 0 or header[COMPONENTS] not in (1, 3):
        return None
    if header[FRAME_TYPE] not in (SOF_BASELINE, SOF_EXTENDED, SOF_PROGRESSIVE) or jpeg[header[SIZE_POSITION] - 1] != 8:
        return None
    head = _head(jpeg.tobytes(), header)
    if parse_whole_jpeg(head, written) != 0 or not written[IS_BASELINE]:
        return None
    layout, num_blocks = block_layout(header)
    if (layout[:, COLUMNS] * layout[:, ROWS]).sum() > 8 * len(jpeg):  # each block's DC coefficient takes a bit
        return None
    coefficients = np.zeros((num_blocks, 64), dtype=np.int16)
    plain = np.empty(len(jpeg) + COEFFICIENTS_SLACK_BYTES, dtype=np.uint8)
    if not read_coefficients(jpeg, header, layout, plain, coefficients):
        return None
    size, room = TOO_LARGE, len(head) + 2 * len(jpeg)
    while size == TOO_LARGE:  # runs of blocks without coefficients take next to nothing in a progressive JPEG
        target = np.empty(room, dtype=np.uint8)
        size, room = write_baseline_scan(header, layout, coefficients, len(head), target), 2 * room
    if size < 0:
        return None
    target[: len(head)] = head
    return target[:size]


def _head(jpeg: bytes, header: np.ndarray) -> np.ndarray:
    """All that comes before the entropy-coded data, uint8 (num_bytes,)."""
    parts, at = [jpeg[:2]], 2
    frame, scan, count = (int(header[field]) for field in (SIZE_POSITION, SCAN_POSITION, COMPONENTS))
    while at < scan:
        if jpeg[at + 1] == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if at + 5 == frame:
            parts.append(bytes([0xFF, SOF_BASELINE]) + jpeg[at + 2 : end])
        elif jpeg[at + 1] not in (DHT, DRI):
            parts.append(jpeg[at:end])
        at = end
    for table in STANDARD_TABLES[: 2 * min(count, 2)]:
        parts.append(struct.pack(">BBH", 0xFF, DHT, 2 + len(table)) + table)
    members = [(jpeg[frame + 5 + 3 * c], 0x11 if c else 0) for c in range(count)]
    scan_header = struct.pack(">BBHB", 0xFF, SOS, 6 + 2 * count, count)
    parts += [scan_header, *map(bytes, members), bytes([0, 63, 0])]
    return np.frombuffer(b"".join(parts), dtype=np.uint8)
