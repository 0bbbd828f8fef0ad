"""The markers before a JPEG's entropy-coded data (ITU-T T.81, annex B), and the index of its restart segments.

The index stands behind the end-of-image marker, where decoders do not look; all numbers are little-endian:

    length in bytes of each restart segment, without the marker that ends it: uint16 or uint32 each
    magic b"FHRI" | uint8 version 1 | uint8 bytes per length (2 or 4) | uint16 MCUs per segment
    uint32 number of segments | uint32 where the first segment begins, in bytes from the start of the JPEG

Segments follow one another in raster order of the image's MCUs, each but the last with a restart marker behind it.
"""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.compiling.pointers import bytes_at, int64s_at

# what `parse_jpeg` fills in
HEADER_LENGTH = 32
(
    WIDTH, HEIGHT, COMPONENTS,
    MCU_WIDTH, MCU_HEIGHT,  # in pixels
    RESTART_INTERVAL,  # MCUs, 0 if there are no restart markers
    SIZE_POSITION,  # of the two bytes of the height (big-endian), which those of the width follow
    SCAN_POSITION,  # of the marker SOS
    ENTROPY_START,  # of the first entropy-coded byte
    IS_BASELINE,  # 1 or 0: 8 bits, sequential, Huffman-coded, all components in the first scan
    MAX_H, MAX_V,  # sampling factors; 1 for an image of one component, whatever its header says
    FRAME_TYPE,  # the second byte of the marker SOF
    FIRST_COMPONENT,  # from here on per component: sampling factors h and v, numbers of the DC and of the AC table
) = range(14)  # fmt: skip
COMPONENT_FIELDS = 4
MAX_COMPONENTS = 4

# what `read_index` fills in
INDEX_LENGTH = 4
INDEX_INTERVAL, INDEX_ENTROPY_START, INDEX_LENGTHS, INDEX_LENGTH_BYTES = range(INDEX_LENGTH)

INDEX_MAGIC = b"FHRI"
INDEX_VERSION = 1
FOOTER_BYTES = 16

DAMAGED = 1  # a code of `parse_jpeg`

SOI, EOI, SOS, DHT, DRI, RST0 = 0xD8, 0xD9, 0xDA, 0xC4, 0xDD, 0xD0
SOF_BASELINE, SOF_EXTENDED, SOF_PROGRESSIVE = 0xC0, 0xC1, 0xC2
_JPG, _DAC = 0xC8, 0xCC  # among the markers of frames, but none

MAX_BLOCKS = 10  # of one MCU (T.81, B.2.3)
_MAGIC_BYTES = tuple(INDEX_MAGIC)


@device_function
def _big_endian_16(data, at):
    return np.int64(data[at]) << 8 | np.int64(data[at + 1])


@device_function
def _little_endian(data, at, num_bytes):
    value = np.int64(0)
    for i in range(num_bytes):
        value |= np.int64(data[at + i]) << (8 * i)
    return value


@device_function
def is_frame(marker):
    """Whether the second byte of a marker is that of one of the SOFs."""
    return 0xC0 <= marker <= 0xCF and marker != DHT and marker != _JPG and marker != _DAC


@device_function
def next_marker(data, at, stop):
    """The position of the marker of a segment at `at`, after fill bytes; -1 unless all of it is within data[:stop].

    A segment's length, which counts its own two bytes, is behind the two bytes of the marker.
    """
    if at >= stop or data[at] != 0xFF:
        return np.int64(-1)
    while at + 1 < stop and data[at + 1] == 0xFF:
        at += 1
    if at + 4 > stop:
        return np.int64(-1)
    marker = data[at + 1]
    if marker < 0xC0 or RST0 <= marker <= EOI:  # those are followed by no segment, or by none that is known
        return np.int64(-1)
    length = _big_endian_16(data, at + 2)
    return at if length >= 2 and at + 2 + length <= stop else np.int64(-1)


@device_function
def _parse_frame(data, at, header):
    """Read the segment of a SOF whose marker is at `at`; whether it can be one."""
    length = _big_endian_16(data, at + 2)
    if length < 8:
        return False
    count = np.int64(data[at + 9])
    height, width = _big_endian_16(data, at + 5), _big_endian_16(data, at + 7)
    if length != 8 + 3 * count or not 1 <= count <= MAX_COMPONENTS or height == 0 or width == 0:
        return False
    header[HEIGHT], header[WIDTH], header[COMPONENTS], header[SIZE_POSITION] = height, width, count, at + 5
    header[FRAME_TYPE] = data[at + 1]
    for c in range(count):
        factors = np.int64(data[at + 11 + 3 * c])
        h, v = factors >> 4, factors & 15
        if not (1 <= h <= 4 and 1 <= v <= 4):
            return False
        if count == 1:  # a lone component's MCU is one block (T.81, A.2.2)
            h = v = np.int64(1)
        header[FIRST_COMPONENT + COMPONENT_FIELDS * c] = h
        header[FIRST_COMPONENT + COMPONENT_FIELDS * c + 1] = v
        header[MAX_H], header[MAX_V] = max(header[MAX_H], h), max(header[MAX_V], v)
    header[MCU_WIDTH], header[MCU_HEIGHT] = 8 * header[MAX_H], 8 * header[MAX_V]
    return True


@device_function
def _is_baseline(data, scan, header):
    """Whether the scan whose SOS is at `scan` is all of a baseline image; notes the components' Huffman tables."""
    frame, count = header[SIZE_POSITION] - 5, header[COMPONENTS]
    kind = header[FRAME_TYPE]
    if (kind != SOF_BASELINE and kind != SOF_EXTENDED) or data[frame + 4] != 8 or data[scan + 4] != count:
        return False
    blocks = 0
    for c in range(count):
        own = data[frame + 10 + 3 * c]
        if data[scan + 5 + 2 * c] != own:
            return False
        for other in range(c):
            if data[frame + 10 + 3 * other] == own:
                return False
        tables = np.int64(data[scan + 6 + 2 * c])
        if tables >> 4 > 3 or tables & 15 > 3:
            return False
        at = FIRST_COMPONENT + COMPONENT_FIELDS * c
        header[at + 2], header[at + 3] = tables >> 4, tables & 15
        blocks += header[at] * header[at + 1]
    last = scan + 5 + 2 * count  # first and last coefficient, and the two bit positions
    return blocks <= MAX_BLOCKS and data[last] == 0 and data[last + 1] == 63 and data[last + 2] == 0


@device_function
def parse_jpeg(data, offset, size, header):
    """Read a JPEG's markers up to its first scan; never reads outside of the JPEG.

    Args:
        data: uint8; the JPEG is data[offset : offset + size].
        header: int64 (HEADER_LENGTH,), filled; positions count from the start of `data`.

    Returns:
        0, or DAMAGED if this is no JPEG, is cut short or has no size. What else is odd only clears `IS_BASELINE`.
    """
    header[:] = 0
    begin, stop = np.int64(offset), np.int64(offset) + np.int64(size)
    if begin < 0 or size < 4 or stop > len(data) or data[begin] != 0xFF or data[begin + 1] != SOI:
        return DAMAGED
    at = begin + 2
    while True:
        at = next_marker(data, at, stop)
        if at < 0:
            return DAMAGED
        marker, length = data[at + 1], _big_endian_16(data, at + 2)
        if is_frame(marker):
            if header[SIZE_POSITION] != 0 or not _parse_frame(data, at, header):
                return DAMAGED
        elif marker == DRI:
            if length != 4:
                return DAMAGED
            header[RESTART_INTERVAL] = _big_endian_16(data, at + 4)
        elif marker == SOS:
            if header[SIZE_POSITION] == 0 or length < 3 or length != 6 + 2 * np.int64(data[at + 4]):
                return DAMAGED
            header[SCAN_POSITION], header[ENTROPY_START] = at, at + 2 + length
            header[IS_BASELINE] = _is_baseline(data, at, header)
            return 0
        at += 2 + length


@device_function
def num_mcus(header):
    """How many MCUs a JPEG has in its single scan, from what `parse_jpeg` found."""
    across = (header[WIDTH] + header[MCU_WIDTH] - 1) // header[MCU_WIDTH]
    down = (header[HEIGHT] + header[MCU_HEIGHT] - 1) // header[MCU_HEIGHT]
    return across * down


@device_function
def read_index(data, offset, size, out):
    """Find the index of a JPEG's restart segments; never reads outside of the JPEG.

    The lengths fill the room between the first segment and the index exactly, so no segment is outside, and behind each
    segment is the marker that belongs there. Whether their number and interval are those of the image is for the caller
    to compare (see `num_mcus`).

    Args:
        data: uint8; JPEG and index are data[offset : offset + size].
        out: int64 (INDEX_LENGTH,), filled; positions count from the start of `data`.

    Returns:
        The number of segments, or 0 if there is no index, or a damaged one.
    """
    out[:] = 0
    begin, stop = np.int64(offset), np.int64(offset) + np.int64(size)
    if begin < 0 or size < FOOTER_BYTES or stop > len(data):
        return 0
    footer = stop - FOOTER_BYTES
    for i in range(4):
        if data[footer + i] != _MAGIC_BYTES[i]:
            return 0
    length_bytes = np.int64(data[footer + 5])
    if data[footer + 4] != INDEX_VERSION or (length_bytes != 2 and length_bytes != 4):
        return 0
    interval = _little_endian(data, footer + 6, 2)
    count, first = _little_endian(data, footer + 8, 4), begin + _little_endian(data, footer + 12, 4)
    lengths = footer - count * length_bytes
    if interval == 0 or count == 0 or first > lengths:
        return 0
    end = first
    for n in range(count):
        end += _little_endian(data, lengths + n * length_bytes, length_bytes) + 2  # the marker behind it
        marker = EOI if n + 1 == count else RST0 + n % 8
        if end > lengths or data[end - 2] != 0xFF or data[end - 1] != marker:
            return 0
    if end != lengths:
        return 0
    out[INDEX_INTERVAL], out[INDEX_ENTROPY_START] = interval, first
    out[INDEX_LENGTHS], out[INDEX_LENGTH_BYTES] = lengths, length_bytes
    return count


@device_function
def segment_length(data, index, segment):
    """How many bytes a restart segment has, from what `read_index` found."""
    at = index[INDEX_LENGTHS] + segment * index[INDEX_LENGTH_BYTES]
    length = np.int64(data[at]) | np.int64(data[at + 1]) << 8
    if index[INDEX_LENGTH_BYTES] == 4:
        length |= np.int64(data[at + 2]) << 16 | np.int64(data[at + 3]) << 24
    return length


@device_function
def _index_fits(header, index, segments):
    """Whether an index that `read_index` found is that of the image, with whole segments in each row of MCUs."""
    interval = index[INDEX_INTERVAL]
    if segments == 0 or interval != header[RESTART_INTERVAL] or index[INDEX_ENTROPY_START] != header[ENTROPY_START]:
        return False
    per_row = (header[WIDTH] + header[MCU_WIDTH] - 1) // header[MCU_WIDTH]
    return per_row % interval == 0 and segments * interval == num_mcus(header)


@kernel(types.int64(*[types.int64] * 4))
def read_baseline(address, size, header, index):
    """`parse_jpeg` and `read_index` of a baseline JPEG, for kernels that call this one at its address.

    Args:
        address, size: of the JPEG, with its index if it has one, in bytes.
        header: the address of int64 (HEADER_LENGTH,), filled.
        index: that of int64 (INDEX_LENGTH,), filled; its `INDEX_LENGTHS` is 0 if there is none, or one that does not
            fit the image.

    Returns:
        1, or 0 if the JPEG is damaged, or not baseline.
    """
    data, found, segments = bytes_at(address, size), int64s_at(header, HEADER_LENGTH), int64s_at(index, INDEX_LENGTH)
    start = np.int64(0)
    if parse_jpeg(data, start, size, found) != 0 or found[IS_BASELINE] == 0:
        return 0
    if not _index_fits(found, segments, read_index(data, start, size, segments)):
        segments[INDEX_LENGTHS] = 0
    return 1
