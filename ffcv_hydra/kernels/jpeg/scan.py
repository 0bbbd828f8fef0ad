"""What one of a JPEG's scans holds, and whether it may come when it comes (ITU-T T.81, B.2.3 and G.1.1.1).

Stricter than decoders: a coefficient is sent once, by its upper bits first, and then made finer by one bit at a time.
"""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function
from ffcv_hydra.kernels.jpeg.huffman import IS_DEFINED, LAST
from ffcv_hydra.kernels.jpeg.markers import COMPONENTS, MAX_COMPONENTS, SIZE_POSITION

# what `parse_scan` fills in
(
    NUM_COMPONENTS,
    ENTROPY,  # the position of the first entropy-coded byte
    SPECTRAL_START, SPECTRAL_END,  # the first and the last coefficient
    HIGH, LOW,  # the bit that was sent last, 0 if none was; the bit that is sent
    FIRST_MEMBER,  # from here on per component: its place in the frame, numbers of its DC and of its AC table
) = range(7)  # fmt: skip
MEMBER_FIELDS = 3
SCAN_LENGTH = FIRST_MEMBER + MEMBER_FIELDS * MAX_COMPONENTS

NOT_SENT = -1  # of a coefficient's progress, else the lowest bit that was sent
_MAX_LOW = 13


@device_function
def _read_members(data, at, header, tables, scan):
    """Find the scan's components, which come in the frame's order, and their tables; whether all are there."""
    frame, c = header[SIZE_POSITION] - 5, -1
    needs_dc, needs_ac = scan[SPECTRAL_START] == 0 and scan[HIGH] == 0, scan[SPECTRAL_END] > 0
    for i in range(scan[NUM_COMPONENTS]):
        c += 1
        while c < header[COMPONENTS] and data[frame + 10 + 3 * c] != data[at + 5 + 2 * i]:
            c += 1
        dc, ac = data[at + 6 + 2 * i] >> 4, data[at + 6 + 2 * i] & 15
        if c >= header[COMPONENTS] or dc > 3 or ac > 3:
            return False
        if (needs_dc and tables[dc, IS_DEFINED] == 0) or (needs_ac and tables[4 + ac, IS_DEFINED] == 0):
            return False
        member = FIRST_MEMBER + MEMBER_FIELDS * i
        scan[member], scan[member + 1], scan[member + 2] = c, dc, 4 + ac
    return True


@device_function
def _advances(scan, is_progressive, progress):
    """Note what the scan sends; whether that is next of all its coefficients."""
    start, end, high, low = scan[SPECTRAL_START], scan[SPECTRAL_END], scan[HIGH], scan[LOW]
    if not is_progressive:
        if start != 0 or end != LAST or high != 0 or low != 0:
            return False
    elif start == 0:
        if end != 0:
            return False
    elif scan[NUM_COMPONENTS] != 1 or not start <= end <= LAST or progress[scan[FIRST_MEMBER], 0] == NOT_SENT:
        return False
    if low > _MAX_LOW or (high > 0 and low != high - 1):
        return False
    for i in range(scan[NUM_COMPONENTS]):
        c = scan[FIRST_MEMBER + MEMBER_FIELDS * i]
        for k in range(start, end + 1):
            if progress[c, k] != (high if high > 0 else NOT_SENT):
                return False
            progress[c, k] = low
    return True


@device_function
def parse_scan(data, at, header, is_progressive, tables, progress, scan):
    """Read the segment of a SOS whose marker is at `at` (see `next_marker`).

    Args:
        header: of `parse_jpeg`.
        tables: as `read_tables` fills them.
        progress: int64 (MAX_COMPONENTS, 64): the lowest bit that was sent of each coefficient, or NOT_SENT; updated.
        scan: int64 (SCAN_LENGTH,), filled.

    Returns:
        Whether it can be one, has its Huffman tables, and sends what is next.
    """
    length, count = np.int64(data[at + 2]) << 8 | np.int64(data[at + 3]), np.int64(data[at + 4])
    if length != 6 + 2 * count or not 1 <= count <= header[COMPONENTS]:
        return False
    last = at + 5 + 2 * count
    scan[NUM_COMPONENTS], scan[ENTROPY] = count, at + 2 + length
    scan[SPECTRAL_START], scan[SPECTRAL_END] = data[last], data[last + 1]
    scan[HIGH], scan[LOW] = data[last + 2] >> 4, data[last + 2] & 15
    return _read_members(data, at, header, tables, scan) and _advances(scan, is_progressive, progress)
