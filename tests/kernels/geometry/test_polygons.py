import numpy as np
import pytest

from ffcv_hydra.kernels.geometry.places import HEADER
from ffcv_hydra.kernels.geometry.polygons import follow_polygons

SQUARE = [[-5, -5], [5, -5], [5, 5], [-5, 5]]
TIP = [[-5, 5], [5, 2], [5, 8]]  # whose tip is cut off


def followed(*polygons: list[list[float]], room: int, side: int = 20) -> dict[int, list[list[float]]]:
    """What becomes of polygons in one image of 20 x 20 that stays where it is, in a row with room for some corners."""
    rows = np.zeros((1, HEADER + 3 * room), dtype=np.float32)
    corners = np.array(
        [[number, *corner] for number, polygon in enumerate(polygons) for corner in polygon], dtype=np.float32
    )
    sources, window = np.zeros((1, 1), dtype=np.int64), np.array([[[[0.0, 0, side, side]]]])
    counts = rows.view(np.int32)
    stored, lengths = corners.reshape(1, -1), np.array([len(corners)])
    follow_polygons(sources, np.zeros((0, 1, 1, 2, 3)), window, 3, False, stored, lengths, rows, counts)
    found = rows[0, HEADER:].reshape(room, 3)
    assert not found[counts[0, 0] :].any()
    found = found[: counts[0, 0]]
    return {int(number): found[found[:, 0] == number, 1:].tolist() for number in np.unique(found[:, 0])}


def test_corners_are_added_where_an_edge_is_cut():
    found = followed(TIP, SQUARE, room=20)
    assert found == {0: [[0, 6.5], [0, 3.5], [5, 2], [5, 8]], 1: [[0, 0], [5, 0], [5, 5], [0, 5]]}


def test_without_room_corners_are_put_on_the_edge():
    """So that the polygons behind it still have theirs."""
    assert followed(TIP, SQUARE, room=7) == {0: [[0, 5], [5, 2], [5, 8]], 1: [[0, 0], [5, 0], [5, 5], [0, 5]]}


@pytest.mark.parametrize(
    "outside", [[[-9, 1], [-1, 1], [-1, 9]], [[-9, 5], [-1, -9], [-3, -1]], [[-4, 2], [0, 2], [0, 9]]]
)
def test_what_has_nothing_inside_is_dropped(outside):
    assert followed(outside, SQUARE, room=20) == {1: [[0, 0], [5, 0], [5, 5], [0, 5]]}


def test_points_and_lines_are_kept_as_far_as_they_lie_inside():
    found = followed([[3, 4]], [[-3, 4]], [[-2, 4], [2, 4]], room=20)
    assert found[0] == [[3, 4]] and 1 not in found
    assert {tuple(corner) for corner in found[2]} == {(0, 4), (2, 4)}
