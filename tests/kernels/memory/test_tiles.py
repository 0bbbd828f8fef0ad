"""Boxes of images in tiles: what `unpack_box` reads of them, and nothing where a byte under the box is another."""

import numpy as np
import pytest

from ffcv_hydra.beton.fields.tiles import pack_tiles
from ffcv_hydra.kernels.memory.tiles import read_tiles

HEIGHT, WIDTH, SIDE = 21, 30, 8
IMAGE = np.random.default_rng(0).integers(0, 2**16, (HEIGHT, WIDTH, 3)).astype(np.uint16)
STORED = pack_tiles(IMAGE, SIDE)
PIXEL = 6  # bytes


def read(stored: np.ndarray, top: int, left: int, bottom: int, right: int, height: int = HEIGHT) -> np.ndarray | None:
    """The box's pixels; None if they are refused. What is around them must stay."""
    buffer = np.full((bottom - top + 2, right - left, 3), 7, dtype=np.uint16)
    box = top, left, bottom, right
    done = read_tiles(stored.ctypes.data, len(stored), height, WIDTH, PIXEL, SIDE, *box, buffer[1].ctypes.data)
    assert (buffer[[0, -1]] == 7).all()
    return buffer[1:-1] if done == 1 else None


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("box", [(0, 0, 21, 30), (8, 16, 16, 24), (7, 7, 9, 25), (20, 29, 21, 30), (3, 9, 4, 10)])
def test_a_box_is_what_was_stored_at_any_address(box, offset):
    stored = np.concatenate([np.zeros(offset, np.uint8), STORED])[offset:]
    assert np.array_equal(read(stored, *box), IMAGE[box[0] : box[2], box[1] : box[3]])


def test_a_flipped_bit_is_noticed_by_the_boxes_that_lie_on_its_tile():
    table = 3 * 4 * 16
    for at in (table - 4, len(STORED) - 1):  # in the entry of the last tile, and in its last pixel
        damaged = STORED.copy()
        damaged[at] ^= 1
        assert read(damaged, 15, 23, 17, 25) is None
        assert np.array_equal(read(damaged, 8, 8, 21, 24), IMAGE[8:21, 8:24])


def test_other_lengths_and_tables_are_refused():
    sizes = STORED.copy()
    sizes[:8].view(np.int64)[0] -= 2
    for damaged in (STORED[:-1], STORED[:20], STORED[:0], sizes):
        assert read(damaged.copy(), 0, 0, 8, 8) is None
    assert read(STORED, 0, 0, 8, 8, height=HEIGHT + 1) is None
