"""What a baseline JPEG's entropy-coded data is read with: Huffman tables, quantisers, and whether it is YCbCr.

Huffman tables take tens of microseconds to make, and most photographs have the ones of the standard: those of the last
JPEG are kept, in memory of the caller's, and used again if the next one has the same.
"""

import numpy as np
from numba import types

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.compiling.pointers import array_at, bytes_at, int16s_at, int32s_at, int64s_at
from ffcv_hydra.kernels.jpeg.entropy import PAIRS, define_pairs
from ffcv_hydra.kernels.jpeg.huffman import NUM_TABLES, TABLE_LENGTH, read_tables
from ffcv_hydra.kernels.jpeg.idct import COEFFICIENTS, scale_quantisers
from ffcv_hydra.kernels.jpeg.markers import (
    COMPONENTS,
    DHT,
    DRI,
    HEADER_LENGTH,
    MAX_COMPONENTS,
    SCAN_POSITION,
    SIZE_POSITION,
    SOF_BASELINE,
    SOF_EXTENDED,
    next_marker,
)
from ffcv_hydra.kernels.jpeg.order import NATURAL_ORDER
from ffcv_hydra.kernels.memory.copies import zero_bytes

_DQT, _COM = 0xDB, 0xFE
_APP0, _APP14, _APP15 = 0xE0, 0xEE, 0xEF
_JFIF, _ADOBE = tuple(b"JFIF\0"), tuple(b"Adobe")
_JFIF_LENGTH, _ADOBE_LENGTH = 16, 14  # of the segments
_JFIF_VERSION, _ADOBE_TRANSFORM = 9, 15  # positions, from the marker on
_YCC = 1

# the memory: how many bytes of DHT segments the tables were made of, those bytes, quantisers, tables of pairs, and
# tables
KNOWN_BYTES = 2048
_READ_AT, _READ_BYTES = 8 + KNOWN_BYTES, 2 * MAX_COMPONENTS * COEFFICIENTS
PAIRS_AT = _READ_AT + _READ_BYTES
TABLES_AT = PAIRS_AT + 8 * (NUM_TABLES // 2) * PAIRS
TABLES_BYTES = TABLES_AT + 4 * NUM_TABLES * TABLE_LENGTH  # a multiple of 8


@device_function
def _segment_end(data, at):
    return at + 2 + (np.int64(data[at + 2]) << 8 | np.int64(data[at + 3]))


@device_function
def note_tables(data, stop, known):
    """Keep the bytes of the DHT segments in data[:stop] in `known`, uint8 (KNOWN_BYTES,).

    Returns how many there are, -1 if too many, and whether they were kept already.
    """
    at, count, same = np.int64(2), np.int64(0), True
    while at < stop:
        at = next_marker(data, at, stop)
        if at < 0:
            return np.int64(-1), False
        end = _segment_end(data, at)
        if data[at + 1] == DHT:
            if count + end - at > KNOWN_BYTES:
                return np.int64(-1), False
            for i in range(at, end):
                same &= known[count] == data[i]
                known[count] = data[i]
                count += 1
        at = end
    return count, same


@device_function
def _make_tables(data, header, memory):
    """Have the Huffman tables of a JPEG in memory; whether it has any, and none that are odd."""
    length = int64s_at(memory, 1)
    count, same = note_tables(data, header[SCAN_POSITION], bytes_at(memory + 8, KNOWN_BYTES))
    if same and count == length[0]:
        return True
    length[0] = -1
    rows = int32s_at(memory + TABLES_AT, (NUM_TABLES, TABLE_LENGTH))
    rows[:] = 0
    if count < 0 or not read_tables(data, 2, header[SCAN_POSITION], rows):
        return False
    define_pairs(rows, array_at(memory + PAIRS_AT, (NUM_TABLES // 2, PAIRS), header))
    length[0] = count
    return True


@device_function
def _begins(data, at, text):
    for i in range(len(text)):  # noqa: SIM110  (numba compiles no generators)
        if data[at + i] != text[i]:
            return False
    return True


@device_function
def _read_quantisers(data, at, end, quantisers):
    """Read the tables of a DQT into rows of `quantisers`; whether all are of 8 bits."""
    at += 4
    while at < end:
        number = np.int64(data[at])
        if number >= MAX_COMPONENTS or at + 1 + COEFFICIENTS > end:
            return False
        for k in range(COEFFICIENTS):
            quantisers[number, NATURAL_ORDER[k]] = data[at + 1 + k]
        at += 1 + COEFFICIENTS
    return True


@device_function
def _is_known(marker):
    """Whether the second byte of a marker is one that a baseline JPEG's header may have; libjpeg refuses others."""
    return marker in (SOF_BASELINE, SOF_EXTENDED, DHT, DRI, _DQT, _COM) or _APP0 <= marker <= _APP15


@device_function
def _make_quantisers(data, header, memory, quantisers):
    """Have the quantisers of each component; whether all is there in 8 bits, and the JPEG gray or YCbCr for sure."""
    zero_bytes(memory + _READ_AT, _READ_BYTES)
    tables = int16s_at(memory + _READ_AT, (MAX_COMPONENTS, COEFFICIENTS))
    at, stop = np.int64(2), header[SCAN_POSITION]
    is_jfif, transform = False, np.int64(-1)
    while at < stop:
        at = next_marker(data, at, stop)
        if at < 0:
            return False
        end, marker = _segment_end(data, at), data[at + 1]
        if not _is_known(marker):
            return False
        if marker == _DQT and not _read_quantisers(data, at, end, tables):
            return False
        if marker == _APP0 and end - at - 2 >= _JFIF_LENGTH and _begins(data, at + 4, _JFIF):
            if data[at + _JFIF_VERSION] != 1:
                return False
            is_jfif = True
        if marker == _APP14 and end - at - 2 >= _ADOBE_LENGTH and _begins(data, at + 4, _ADOBE):
            transform = np.int64(data[at + _ADOBE_TRANSFORM])
        at = end
    frame = header[SIZE_POSITION] - 5
    are_numbered = True
    for c in range(header[COMPONENTS]):
        are_numbered &= data[frame + 10 + 3 * c] == c + 1
        number = np.int64(data[frame + 12 + 3 * c])
        if number >= MAX_COMPONENTS or tables[number, 0] == 0:  # no quantiser is 0
            return False
        scale_quantisers(tables[number], quantisers[0, c])
        for i in range(COEFFICIENTS):  # an assignment of rows takes two seconds to compile
            quantisers[1, c, i] = tables[number, i]
    return header[COMPONENTS] == 1 or is_jfif or transform == _YCC or (transform < 0 and are_numbered)


@kernel(types.int64(*[types.int64] * 5))
def prepare_tables(address, size, header, memory, quantisers):
    """Have all that a gray or YCbCr JPEG is decoded with in memory.

    Args:
        address, size: of the JPEG, in bytes.
        header: the address of what `parse_jpeg` found, int64 (HEADER_LENGTH,).
        memory: the address of TABLES_BYTES bytes, zeros at first, later those of another call: from TABLES_AT on the
            tables of `jpeg_huffman`, from PAIRS_AT on those of `jpeg_entropy`.
        quantisers: the address of int16 (2, MAX_COMPONENTS, 64), written: of each component, in rows of eight; first
            scaled for the transform, then as they are.

    Returns:
        1, or 0 if the JPEG is in another colour space, or something is missing or odd.
    """
    data, found = bytes_at(address, size), int64s_at(header, HEADER_LENGTH)
    both = int16s_at(quantisers, (2, MAX_COMPONENTS, COEFFICIENTS))
    return 1 if _make_quantisers(data, found, memory, both) and _make_tables(data, found, memory) else 0
