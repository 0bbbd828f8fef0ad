"""JPEGs that can be decoded in part: restart markers every few MCUs, and an index of them behind the image.

For the layout of the index see `ffcv_hydra.kernels.jpeg.markers`. Decoders that do not know of it, FFCV's among them,
read the same pixels with it as without. A segment costs about 6 bytes: its marker, a part of a byte before it, a DC
coefficient that is not predicted, and its length in the index.
"""

from __future__ import annotations

import struct
import threading

import numpy as np

from ffcv_hydra.beton.fields.baseline_jpeg import to_baseline
from ffcv_hydra.kernels.jpeg.markers import (
    COMPONENTS,
    ENTROPY_START,
    FOOTER_BYTES,
    HEADER_LENGTH,
    HEIGHT,
    INDEX_MAGIC,
    INDEX_VERSION,
    IS_BASELINE,
    MCU_HEIGHT,
    MCU_WIDTH,
    RESTART_INTERVAL,
    SIZE_POSITION,
    WIDTH,
)
from ffcv_hydra.kernels.jpeg.transcode import (
    MEMORY_BYTES,
    PLAIN_SLACK_BYTES,
    insert_restart_markers,
    parse_whole_jpeg,
)

SEGMENT_WIDTH = 64  # pixels, where that is not too short for the bytes that it costs
MAX_OVERHEAD = 0.025  # of the JPEG's size
_SEGMENT_BYTES, _LENGTH_BYTES = 6, 2
_FOOTER = struct.Struct("<4sBBHII")
_FIXED_BYTES = FOOTER_BYTES + 6  # with the segment that says the restart interval
_MAX_INTERVAL = 0xFFFF
MAX_JPEG_SIDE = 65500  # libjpeg's


class _Scratch(threading.local):
    """Memory for a thread's next JPEG: new pages for each cost more than copying it."""

    def __init__(self) -> None:
        self.memory = np.zeros(MEMORY_BYTES, dtype=np.uint8)
        self.plain = self.target = np.empty(0, dtype=np.uint8)

    def recode(self, jpeg: np.ndarray, header: np.ndarray, interval: int, lengths: np.ndarray, whole: bool) -> int:
        """Call `insert_restart_markers`, which writes into `target`."""
        if len(self.plain) < len(jpeg) + PLAIN_SLACK_BYTES:
            self.plain = np.empty(len(jpeg) * 5 // 4 + PLAIN_SLACK_BYTES, dtype=np.uint8)
        room = 2 * len(jpeg) + 64 * len(lengths) + 4096  # if all had to be stuffed
        if len(self.target) < room:
            self.target = np.empty(room * 5 // 4, dtype=np.uint8)
        return insert_restart_markers(jpeg, header, interval, int(whole), self.memory, self.plain, self.target, lengths)


_scratch = _Scratch()


def with_random_access(jpeg: np.ndarray) -> np.ndarray | None:
    """The JPEG with restart markers and their index; the coefficients, and so the pixels, are the same.

    Progressive images, and those of several scans, become baseline. Bytes behind the end of the image are left out.

    Args:
        jpeg: uint8 (num_bytes,).

    Returns:
        uint8 (num_bytes,), or None if the JPEG is damaged, of a kind that has no restart segments here (arithmetic
        coding, 12 bits, CMYK, unusual scans), or too small for more than one within `MAX_OVERHEAD`.
    """
    header = np.empty(HEADER_LENGTH, dtype=np.int64)
    if parse_whole_jpeg(jpeg, header) != 0:
        return None
    if not header[IS_BASELINE]:
        baseline = to_baseline(jpeg)
        if baseline is None or parse_whole_jpeg(baseline, header) != 0:
            return None
        jpeg = baseline
    if header[COMPONENTS] not in (1, 3):
        return None
    interval = restart_interval(header, len(jpeg))
    return None if interval is None else _with_interval(jpeg, header, interval)


def restart_interval(header: np.ndarray, num_bytes: int) -> int | None:
    """How many MCUs a restart segment of a JPEG is to have; None if it is too small for more than one segment.

    A divisor of the MCUs in a row, so that the segments of a part are an image themselves, with chroma that is
    interpolated across its rows as in the whole. The file's own interval, if it has one that suits.

    Args:
        header: int64 (HEADER_LENGTH,), of `parse_whole_jpeg`.
        num_bytes: of the JPEG.
    """
    total, own = _num_mcus(header), int(header[RESTART_INTERVAL])
    per_row = -(-int(header[WIDTH]) // int(header[MCU_WIDTH]))
    budget = MAX_OVERHEAD * num_bytes - _FIXED_BYTES
    shortest = min(max(SEGMENT_WIDTH // int(header[MCU_WIDTH]), 1), per_row)
    interval = next(
        (
            length
            for length in range(shortest, per_row + 1)
            if per_row % length == 0 and total // length * _SEGMENT_BYTES <= budget
        ),
        None,
    )
    if interval is None or interval > _MAX_INTERVAL or interval == total:
        return None
    suits = own > 0 and per_row % own == 0 and own <= 4 * interval and total // own * _LENGTH_BYTES <= budget
    return own if suits else interval


def first_segment(jpeg: np.ndarray, height: int, width: int) -> tuple[np.ndarray, int, int] | None:
    """The first restart segment of an indexed JPEG, as an image of one row of MCUs; all headers are those of the whole.

    Args:
        jpeg: uint8 (num_bytes,), of `with_random_access`.
        height, width: of the whole image, in pixels.

    Returns:
        uint8 (num_bytes,), a JPEG; its height and width in pixels. None if `height` and `width` are not those of the
        image, or decoders would refuse an image so large.
    """
    header = np.empty(HEADER_LENGTH, dtype=np.int64)
    parse_whole_jpeg(jpeg, header)
    _, _, length_bytes, interval, count, first = _FOOTER.unpack(jpeg[-FOOTER_BYTES:].tobytes())
    rows, columns = min(height, int(header[MCU_HEIGHT])), min(width, int(interval * header[MCU_WIDTH]))
    if (header[HEIGHT], header[WIDTH]) != (height, width) or max(height, width, columns) > MAX_JPEG_SIDE:
        return None
    at = len(jpeg) - FOOTER_BYTES - count * length_bytes
    length = int.from_bytes(jpeg[at : at + length_bytes].tobytes(), "little")
    return _resized(jpeg[: first + length].tobytes() + b"\xff\xd9", header, rows, columns), rows, columns


def first_mcu(jpeg: np.ndarray, height: int, width: int) -> tuple[np.ndarray, int, int] | None:
    """The first MCU of a JPEG as an image, with all headers of the whole, of which everything was read.

    Args:
        jpeg: uint8 (num_bytes,).
        height, width: of the whole image, in pixels.

    Returns:
        As `first_segment`; also None if the JPEG is damaged, or not baseline.
    """
    header = np.empty(HEADER_LENGTH, dtype=np.int64)
    if parse_whole_jpeg(jpeg, header) != 0 or (header[HEIGHT], header[WIDTH]) != (height, width):
        return None
    lengths = np.zeros(_num_mcus(header), dtype=np.int64)
    size = _scratch.recode(jpeg, header, 1, lengths, whole=False)
    if size < 0 or max(height, width) > MAX_JPEG_SIDE:
        return None
    rows, columns = min(height, int(header[MCU_HEIGHT])), min(width, int(header[MCU_WIDTH]))
    entropy = _scratch.target[size - 2 - lengths[0] : size].tobytes()
    return _resized(jpeg[: header[ENTROPY_START]].tobytes() + entropy, header, rows, columns), rows, columns


def _resized(jpeg: bytes, header: np.ndarray, height: int, width: int) -> np.ndarray:
    position = int(header[SIZE_POSITION])
    size = struct.pack(">HH", height, width)
    return np.frombuffer(jpeg[:position] + size + jpeg[position + len(size) :], dtype=np.uint8)


def has_index(tail: bytes) -> bool:
    """Whether the last `FOOTER_BYTES` of what is stored of an image are the footer of an index."""
    return len(tail) == FOOTER_BYTES and tail[:5] == INDEX_MAGIC + bytes([INDEX_VERSION])


def _with_interval(jpeg: np.ndarray, header: np.ndarray, interval: int) -> np.ndarray | None:
    lengths = np.zeros(-(-_num_mcus(header) // interval), dtype=np.int64)
    size = _scratch.recode(jpeg, header, interval, lengths, whole=True)
    if size < 0:
        return None
    length_bytes = 2 if lengths.max() <= 0xFFFF else 4
    first = size - int(lengths.sum()) - 2 * len(lengths)  # a marker ends each segment
    footer = _FOOTER.pack(INDEX_MAGIC, INDEX_VERSION, length_bytes, interval, len(lengths), first)
    index = lengths.astype(f"<u{length_bytes}").tobytes() + footer
    return np.concatenate([_scratch.target[:size], np.frombuffer(index, dtype=np.uint8)])


def _num_mcus(header: np.ndarray) -> int:
    across, down = -(-header[WIDTH] // header[MCU_WIDTH]), -(-header[HEIGHT] // header[MCU_HEIGHT])
    return int(across * down)
