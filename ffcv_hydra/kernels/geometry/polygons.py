"""Polygons moved as the images that they lie in, and clipped to these, in rows as `places` has them.

An item is a corner: one number or more that say of which polygon it is, x and y.
"""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel
from ffcv_hydra.kernels.geometry.places import HEADER, MOVES, ROWS, SLACK

BOXES = 1 << 16  # at most of a sample whose polygons follow them
_NO_ROOM = -1


@device_function
def _clipped(corners, count, axis, limit, sign, result, most):
    """Cut a polygon along a line (Sutherland and Hodgman, doi:10.1145/360767.360802).

    Args:
        corners: float64 (M, 2), of which the first `count` are the polygon's.
        count: of them.
        axis: 0 keeps what is left of `limit`, 1 what is above it, if `sign` is 1; right of it or below it, if it is -1.
        limit: in pixels.
        sign: 1.0 or -1.0.
        result: float64 (M, 2), written.
        most: how many corners there is room for.

    Returns:
        The number of corners that are left, or _NO_ROOM.
    """
    kept = 0
    for place in range(count):
        before = count - 1 if place == 0 else place - 1
        beyond, was_beyond = sign * (corners[place, axis] - limit), sign * (corners[before, axis] - limit)
        is_in, crosses = beyond <= SLACK, (beyond <= SLACK) != (was_beyond <= SLACK)
        if kept + is_in + crosses > most:
            return _NO_ROOM
        if crosses:
            share, other = min(1.0, was_beyond / (was_beyond - beyond)), 1 - axis  # one end may be out within the slack
            result[kept, axis] = limit
            result[kept, other] = corners[before, other] + share * (corners[place, other] - corners[before, other])
            kept += 1
        if is_in:
            result[kept, 0], result[kept, 1] = corners[place, 0], corners[place, 1]
            kept += 1
    return kept


@device_function
def _area(corners, count):
    """Twice the area of a polygon, negative if it runs counter-clockwise."""
    area = 0.0
    for place in range(count):
        before = count - 1 if place == 0 else place - 1
        area += corners[before, 0] * corners[place, 1] - corners[place, 0] * corners[before, 1]
    return area


@device_function
def _moved(matrices, windows, k, n, corners, other, count, most):
    """Move a polygon of image k in sample n, and clip it to what can be seen; gives its corners' number, or _NO_ROOM.

    Args:
        matrices, windows: as of `follow_boxes`.
        k, n: of the image.
        corners: float64 (M, 2), the polygon, overwritten.
        other: float64 (M, 2), overwritten.
        count, most: as of `_clipped`.
    """
    for s in range(len(windows)):
        for axis in range(2):
            count = _clipped(corners, count, axis, windows[s, k, n, axis + 2], 1.0, other, most)
            if count != _NO_ROOM:
                count = _clipped(other, count, axis, windows[s, k, n, axis], -1.0, corners, most)
            if count <= 0:
                return count
        if s < len(matrices):
            _map(matrices[s, k, n], corners, count)
    return count


@device_function
def _map(matrix, corners, count):
    for place in range(count):
        x, y = corners[place, 0], corners[place, 1]
        corners[place, 0] = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
        corners[place, 1] = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]


@device_function
def _held(matrices, windows, k, n, corners, count):
    """Move a polygon of image k in sample n as it is, and put what cannot be seen at last on the edge of what can."""
    for s in range(len(matrices)):
        _map(matrices[s, k, n], corners, count)
    last = windows[len(matrices), k, n]
    for place in range(count):
        for axis in range(2):
            corners[place, axis] = min(max(corners[place, axis], last[axis]), last[axis + 2])


@device_function
def _read(items, length, begin, end, corners):
    for place in range(begin, end):
        for axis in range(2):
            corners[place - begin, axis] = items[length * (place + 1) - 2 + axis]


@device_function
def _end(items, length, begin, count):
    """Where the polygon ends that begins with an item."""
    for end in range(begin + 1, count):
        for number in range(length - 2):
            if items[length * end + number] != items[length * begin + number]:
                return end
    return count


@kernel(f"void({MOVES}, int64, boolean, {ROWS})")
def follow_polygons(sources, matrices, windows, length, is_beside, stored, counts, rows, indices):
    """Move polygons, and clip them to what can be seen; those of which nothing is left are dropped.

    Where there is no room for the corners that clipping adds, corners outside are put on the edge of the last image.

    Args:
        sources, matrices, windows: as of `follow_boxes`.
        length: numbers of an item.
        is_beside: whether the first number of an item is that of a box, which gets BOXES k for image k; else they are
            counted on from image to image.
        stored: float32 (N, length L), polygons of the samples.
        counts: int64 (N,), how many items they have.
        rows: float32 (N, W), filled; with room for at least as many items.
        indices: int32 (N, W), the same memory.
    """
    room = (rows.shape[1] - HEADER) // length
    corners, other = np.empty((room, 2)), np.empty((room, 2))
    for n in range(len(rows)):
        rows[n] = 0
        kept = to_come = 0
        offset = np.int64(0)
        for k in range(len(sources)):
            to_come += counts[sources[k, n]]
        for k in range(len(sources)):
            items, count, begin = stored[sources[k, n]], counts[sources[k, n]], 0
            first = BOXES * k if is_beside else offset
            while begin < count:
                end = _end(items, length, begin, count)
                left = end - begin
                to_come -= left
                _read(items, length, begin, end, corners)
                if len(windows) > 0:
                    is_line = abs(_area(corners, left)) <= SLACK
                    left = _moved(matrices, windows, k, n, corners, other, left, room - kept - to_come)
                    if left == _NO_ROOM:
                        left = end - begin
                        _read(items, length, begin, end, corners)
                        _held(matrices, windows, k, n, corners, left)
                    if not is_line and abs(_area(corners, left)) <= SLACK:
                        left = 0
                for place in range(left):
                    to = HEADER + length * (kept + place)
                    for number in range(length - 2):
                        rows[n, to + number] = items[length * begin + number] + (first if number == 0 else 0)
                    rows[n, to + length - 2], rows[n, to + length - 1] = corners[place, 0], corners[place, 1]
                kept += left
                begin = end
            if count > 0:
                offset += np.int64(items[length * (count - 1)]) + 1
        indices[n, 0] = kept
