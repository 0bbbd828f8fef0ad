"""Boxes and points moved as the images that they lie in, in rows that are padded with zeros.

A row is the number of its items as an int64, eight zeros, the items as float32, and the index that each item had before
some were dropped, as int32. Images go through S maps, one after another; what one leaves outside of its image is gone
for those behind it. Into each K images may be put, whose items come one after another.
"""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel

HEADER = 4  # words of 32 bits before the items
XYXY, XYWH, CXCYWH = 0, 1, 2
SLACK = 1e-6  # pixels: what is on the edge of an image stay there, whatever is rounded


@device_function
def _behind(first, then, result):
    """Write the map that `first` and `then` are one after another, float64 (2, 3); `result` is another array."""
    for row in range(2):
        for column in range(3):
            result[row, column] = then[row, 0] * first[0, column] + then[row, 1] * first[1, column]
        result[row, 2] += then[row, 2]


@device_function
def _around(matrix, box, result):
    """Write the smallest box around the mapped corners of a box: left, top, right, bottom."""
    for row in range(2):
        along_x, along_y = matrix[row, 0], matrix[row, 1]
        low = along_x * (box[0] if along_x > 0 else box[2]) + along_y * (box[1] if along_y > 0 else box[3])
        high = along_x * (box[2] if along_x > 0 else box[0]) + along_y * (box[3] if along_y > 0 else box[1])
        result[row], result[row + 2] = low + matrix[row, 2], high + matrix[row, 2]


@device_function
def _whole(matrices, windows, k, n, scratch, total, window):
    """Write the map from first to last of image k in sample n, and what can be seen of it in the last: a box.

    Args:
        matrices: float64 (S, K, N, 2, 3).
        windows: float64 (S + 1, K, N, 4), what can be seen before and after each map.
        scratch: float64 (3, 4).
        total: float64 (2, 3), written.
        window: float64 (4,), written: left, top, right, bottom.
    """
    last = len(matrices)
    for row in range(2):  # numba compiles loops in a tenth of the time of slices
        for column in range(3):
            total[row, column] = row == column
    for side in range(4):
        window[side] = windows[last, k, n, side]
    before, seen = scratch[:2, :3], scratch[2]
    for s in range(last - 1, -1, -1):
        for row in range(2):
            for column in range(3):
                before[row, column] = total[row, column]
        _behind(matrices[s, k, n], before, total)
        _around(total, windows[s, k, n], seen)
        for side in range(2):
            window[side], window[side + 2] = max(window[side], seen[side]), min(window[side + 2], seen[side + 2])


@device_function
def to_corners(items, place, box_format):
    """Write a box of float32 as left, top, right, bottom."""
    if box_format != XYXY:
        width, height = items[place + 2], items[place + 3]
        if box_format == CXCYWH:
            items[place] -= width / 2
            items[place + 1] -= height / 2
        items[place + 2], items[place + 3] = items[place] + width, items[place + 1] + height


@device_function
def _has_centre(part, box):
    """Whether the centre of a box is in a part: top, left, height, width."""
    x, y = 0.5 * (box[0] + box[2]), 0.5 * (box[1] + box[3])
    return part[1] < x < part[1] + part[3] and part[0] < y < part[0] + part[2]


@device_function
def _clip(box, window, least):
    """Cut what a box has been moved to off at the edges of a window, float64 (4,) both; whether enough of it is left.

    Args:
        box: changed.
        window: left, top, right, bottom.
        least: as of `follow_boxes`.
    """
    area = (box[2] - box[0]) * (box[3] - box[1])
    for side in range(2):
        box[side], box[side + 2] = max(box[side], window[side]), min(box[side + 2], window[side + 2])
    width, height = box[2] - box[0], box[3] - box[1]
    left = width * height
    is_there = width > 0 and height > 0
    return is_there and left >= least[0] and min(width, height) >= least[1] and left >= least[2] * area


MOVES = "int64[:, ::1], float64[:, :, :, :, ::1], float64[:, :, :, ::1]"
ROWS = "float32[:, ::1], int64[::1], float32[:, ::1], int32[:, ::1]"


@kernel(f"void({MOVES}, int64[:, :, ::1], int64, float64[::1], {ROWS})")
def follow_boxes(sources, matrices, windows, centres, box_format, least, stored, counts, rows, indices):
    """Move boxes, clip them to their images, and drop those of which nothing, or too little, is left.

    Args:
        sources: int64 (K, N), the samples whose images are in that of sample n.
        matrices: float64 (S, K, N, 2, 3).
        windows: float64 (S + 1, K, N, 4): left, top, right, bottom of what can be seen of an image before and after
            each map; (0, K, N, 4): boxes stay as they are, and all are kept.
        centres: int64 (K, N, 4): top, left, height, width of the part of each first image that a box has its centre in,
            or is dropped; (0, N, 4): anywhere.
        box_format: of the boxes.
        least: float64 (3,), what is left of a box that is kept: its area and its sides in pixels, and the share of the
            area that it has before it is clipped.
        stored: float32 (N, 4 L), boxes of the samples; they become XYXY.
        counts: int64 (N,), how many they are.
        rows: float32 (N, W), filled with boxes, XYXY.
        indices: int32 (N, W), the same memory; image k has the indices from k L on.
    """
    scratch, total, window = np.empty((3, 4)), np.empty((2, 3)), np.empty(4)
    box, moved = np.empty(4), np.empty(4)
    longest = (rows.shape[1] - HEADER) // 5
    for n in range(len(rows)):
        for place in range(0, 4 * counts[n], 4):
            to_corners(stored[n], place, box_format)
    for n in range(len(rows)):
        for word in range(rows.shape[1]):
            rows[n, word] = 0
        kept = 0
        for k in range(len(sources)):
            sample = sources[k, n]
            if len(windows) > 0:
                _whole(matrices, windows, k, n, scratch, total, window)
            for index in range(counts[sample]):
                for side in range(4):
                    moved[side] = box[side] = stored[sample, 4 * index + side]
                if len(centres) > 0 and not _has_centre(centres[k, n], box):
                    continue
                if len(windows) > 0:
                    _around(total, box, moved)
                    if not _clip(moved, window, least):
                        continue
                for side in range(4):
                    rows[n, HEADER + 4 * kept + side] = moved[side]
                indices[n, HEADER + 4 * longest + kept] = k * (longest // len(sources)) + index
                kept += 1
        indices[n, 0] = kept


@device_function
def _move(matrices, windows, k, n, point):
    """Move a point, float64 (2,), through all maps of image k in sample n; whether it could be seen all along."""
    inside = True
    for s in range(len(windows)):
        seen = windows[s, k, n]
        inside = inside and seen[0] - SLACK <= point[0] <= seen[2] + SLACK
        inside = inside and seen[1] - SLACK <= point[1] <= seen[3] + SLACK
        if s < len(matrices):
            m = matrices[s, k, n]
            x, y = point[0], point[1]
            point[0] = m[0, 0] * x + m[0, 1] * y + m[0, 2]
            point[1] = m[1, 0] * x + m[1, 1] * y + m[1, 2]
    return inside


@device_function
def _is_mirrored(matrices, k, n):
    mirrored = False
    for s in range(len(matrices)):
        m = matrices[s, k, n]
        mirrored ^= m[0, 0] * m[1, 1] < m[0, 1] * m[1, 0]
    return mirrored


@kernel(f"void({MOVES}, int64, int64[:, ::1], boolean, {ROWS})")
def follow_points(sources, matrices, windows, num_points, mirrored, has_places, stored, counts, rows, indices):
    """Move points: x, y and visibility. Those that are labelled, but cannot be seen in the image, get visibility 0.

    Args:
        sources, matrices, windows, stored, counts, rows, indices: as of `follow_boxes`.
        num_points: of an item.
        mirrored: int64 (P, 2): points of an item that change places in a mirror.
        has_places: whether each item comes where its index is, and not behind the one before it.
    """
    point = np.empty(2)
    length = 3 * num_points
    longest = (rows.shape[1] - HEADER) // (length + 1)
    for n in range(len(rows)):
        items, end = rows[n], 0
        for word in range(len(items)):
            items[word] = 0
        for k in range(len(sources)):
            sample, slot, turned = sources[k, n], k * (longest // len(sources)), _is_mirrored(matrices, k, n)
            end = slot if has_places else end
            for index in range(counts[sample]):
                begin = HEADER + length * (end + index)
                for i in range(length):
                    items[begin + i] = stored[sample, length * index + i]
                indices[n, HEADER + length * longest + end + index] = slot + index
                for place in range(begin, begin + length, 3):
                    if items[place + 2] == 0:
                        continue  # there is no such point
                    point[0], point[1] = items[place], items[place + 1]
                    inside = _move(matrices, windows, k, n, point)
                    items[place], items[place + 1] = point[0], point[1]
                    if not inside:
                        items[place + 2] = 0
                if turned:
                    for pair in range(len(mirrored)):
                        one, other = begin + 3 * mirrored[pair, 0], begin + 3 * mirrored[pair, 1]
                        for i in range(3):
                            items[one + i], items[other + i] = items[other + i], items[one + i]
            end += counts[sample]
        indices[n, 0] = end
