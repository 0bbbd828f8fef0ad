"""Boxes, points and polygons moved as the images that they lie in, in rows that are padded with zeros.

A row is the number of its items as an int64, eight zeros, the items as float32, and the index that each item had before
some were dropped, as int32. Images go through S maps, one after another; what one leaves outside of its image is gone
for those behind it.
"""

import numpy as np

from ffcv_hydra.kernels.compiling.compilation import device_function, kernel

HEADER = 4  # words of 32 bits before the items
XYXY, XYWH, CXCYWH = 0, 1, 2
_SLACK = 1e-6  # pixels: points on the edge of an image stay there, whatever is rounded


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
def _whole(matrices, sizes, n, scratch, total, window):
    """Write the map from first to last of sample n, and what can be seen of the last image: a box.

    Args:
        matrices: float64 (S, N, 2, 3).
        sizes: int64 (S + 1, N, 2), heights and widths of the images before and after each map.
        scratch: float64 (4, 4).
        total: float64 (2, 3), written.
        window: float64 (4,), written: left, top, right, bottom.
    """
    last = len(matrices)
    total[:, :] = 0.0
    total[0, 0] = total[1, 1] = 1.0
    window[0] = window[1] = 0.0
    window[2], window[3] = sizes[last, n, 1], sizes[last, n, 0]
    before, canvas, seen = scratch[:2, :3], scratch[2], scratch[3]
    for s in range(last - 1, -1, -1):
        before[:, :] = total
        _behind(matrices[s, n], before, total)
        canvas[0] = canvas[1] = 0.0
        canvas[2], canvas[3] = sizes[s, n, 1], sizes[s, n, 0]
        _around(total, canvas, seen)
        for k in range(2):
            window[k], window[k + 2] = max(window[k], seen[k]), min(window[k + 2], seen[k + 2])


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


@kernel(
    "void(float64[:, :, :, ::1], int64[:, :, ::1], int64[:, ::1], int64, float64[::1], float32[:, ::1], int32[:, ::1])"
)
def follow_boxes(matrices, sizes, centres, box_format, least, rows, indices):
    """Move boxes, clip them to their images, and drop those of which nothing, or too little, is left.

    Args:
        matrices: float64 (S, N, 2, 3).
        sizes: int64 (S + 1, N, 2), heights and widths; (0, N, 2): boxes stay as they are, and all are kept.
        centres: int64 (N, 4): top, left, height, width of the part of each first image that a box has its centre in, or
            is dropped; (0, 4): anywhere.
        box_format: of the boxes; they become XYXY.
        least: float64 (3,), what is left of a box that is kept: its area and its sides in pixels, and the share of the
            area that it has before it is clipped.
        rows: float32 (N, W), with boxes, overwritten.
        indices: int32 (N, W), the same memory.
    """
    scratch, total, window = np.empty((4, 4)), np.empty((2, 3)), np.empty(4)
    box, moved = np.empty(4), np.empty(4)
    longest = (rows.shape[1] - HEADER) // 5
    for n in range(len(rows)):
        items, count, kept = rows[n], np.int64(indices[n, 0]), 0
        if len(sizes) > 0:
            _whole(matrices, sizes, n, scratch, total, window)
        for index in range(count):
            place, to = HEADER + 4 * index, HEADER + 4 * kept
            to_corners(items, place, box_format)
            for k in range(4):
                moved[k] = box[k] = items[place + k]
            if len(centres) > 0 and not _has_centre(centres[n], box):
                continue
            if len(sizes) > 0:
                _around(total, box, moved)
                area = (moved[2] - moved[0]) * (moved[3] - moved[1])
                for k in range(2):
                    moved[k], moved[k + 2] = max(moved[k], window[k]), min(moved[k + 2], window[k + 2])
                width, height = moved[2] - moved[0], moved[3] - moved[1]
                left = width * height
                if not (width > 0 and height > 0) or left < least[0] or min(width, height) < least[1]:
                    continue
                if left < least[2] * area:
                    continue
            for k in range(4):
                items[to + k] = moved[k]
            indices[n, HEADER + 4 * longest + kept] = index
            kept += 1
        items[HEADER + 4 * kept : HEADER + 4 * count] = 0
        indices[n, 0] = kept


@device_function
def _move(matrices, sizes, n, point):
    """Move a point, float64 (2,), through all maps of sample n; whether it was in the image all along."""
    inside = True
    for s in range(len(sizes)):
        inside = inside and -_SLACK <= point[0] <= sizes[s, n, 1] + _SLACK
        inside = inside and -_SLACK <= point[1] <= sizes[s, n, 0] + _SLACK
        if s < len(matrices):
            m = matrices[s, n]
            x, y = point[0], point[1]
            point[0] = m[0, 0] * x + m[0, 1] * y + m[0, 2]
            point[1] = m[1, 0] * x + m[1, 1] * y + m[1, 2]
    return inside


@device_function
def _is_mirrored(matrices, n):
    mirrored = False
    for s in range(len(matrices)):
        m = matrices[s, n]
        mirrored ^= m[0, 0] * m[1, 1] < m[0, 1] * m[1, 0]
    return mirrored


@kernel("void(float64[:, :, :, ::1], int64[:, :, ::1], int64, int64[:, ::1], int64, float32[:, ::1], int32[:, ::1])")
def follow_points(matrices, sizes, num_points, mirrored, first, rows, indices):
    """Move points of three numbers each. Those that are labelled, but not in the image, get visibility 0.

    Args:
        matrices, sizes, rows, indices: as of `follow_boxes`.
        num_points: of an item.
        mirrored: int64 (P, 2): points of an item that change places in a mirror.
        first: which of a point's numbers is x, and the next one y: 0, with the visibility behind; 1: there is none.
    """
    point = np.empty(2)
    length = 3 * num_points
    longest = (rows.shape[1] - HEADER) // (length + 1)
    for n in range(len(rows)):
        items, count, turned = rows[n], np.int64(indices[n, 0]), _is_mirrored(matrices, n)
        for index in range(count):
            begin = HEADER + length * index
            indices[n, HEADER + length * longest + index] = index
            for place in range(begin, begin + length, 3):
                if first == 0 and items[place + 2] == 0:
                    continue  # there is no such point
                point[0], point[1] = items[place + first], items[place + first + 1]
                inside = _move(matrices, sizes, n, point)
                items[place + first], items[place + first + 1] = point[0], point[1]
                if first == 0 and not inside:
                    items[place + 2] = 0
            if turned:
                for pair in range(len(mirrored)):
                    one, other = begin + 3 * mirrored[pair, 0], begin + 3 * mirrored[pair, 1]
                    for k in range(3):
                        items[one + k], items[other + k] = items[other + k], items[one + k]
