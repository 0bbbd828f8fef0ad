"""Long lists of which single entries are read."""

import zlib

import pytest

from ffcv_hydra.beton.packed_lists import BLOCKS_KEPT, ENTRIES, PackedLists, of_bytes, pack

LISTS = {"names": [f"photos/{n}.jpg" for n in range(20 * ENTRIES + 3)], "none": [], "order": [2, 0, 1]}


class Read:
    """Reads of some bytes, counted."""

    def __init__(self, content):
        self.content, self.num_bytes = content, 0

    def __call__(self, start, stop):
        self.num_bytes += stop - start
        return self.content[start:stop]


def test_what_was_packed_is_there():
    packed = PackedLists(of_bytes(pack({"kind": "images", "classes": ["cat"]}, LISTS)))
    assert packed.values == {"kind": "images", "classes": ["cat"]}
    assert {name: packed.entries(name) for name in packed.lengths} == LISTS
    for index in (0, 1, ENTRIES - 1, ENTRIES, len(LISTS["names"]) - 1):
        assert packed.entry("names", index) == LISTS["names"][index]
    assert packed.entry("order", 1) == 0
    assert pack({}, LISTS) == pack({}, LISTS)


def test_an_entry_costs_its_block_and_neighbours_cost_nothing():
    read = Read(pack({}, LISTS))
    packed = PackedLists(read)
    read.num_bytes = 0
    assert packed.entry("names", 10 * ENTRIES) == f"photos/{10 * ENTRIES}.jpg"
    once = read.num_bytes
    assert 0 < once < len(read.content) / 10
    assert packed.entry("names", 10 * ENTRIES + 5) == f"photos/{10 * ENTRIES + 5}.jpg"
    assert read.num_bytes == once
    for number in range(BLOCKS_KEPT + 1):
        packed.entry("names", number * ENTRIES)
    read.num_bytes = 0
    packed.entry("names", 10 * ENTRIES)
    assert read.num_bytes == once  # no more than a few blocks are held


def test_damage_shows():
    content = bytearray(pack({}, {"names": ["a" * 100]}))
    content[-10] ^= 1
    with pytest.raises(zlib.error):
        PackedLists(of_bytes(bytes(content))).entry("names", 0)
