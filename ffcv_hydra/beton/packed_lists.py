"""Plain values and long lists of them as bytes, of which one entry can be read without the others."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

MAGIC = b"FFCVHYL1"
ENTRIES = 1024  # of a list that are compressed together
BLOCKS_KEPT = 8  # while they are read one after another

ReadBytes = Callable[[int, int], bytes]
"""Gives the bytes from a place to another one."""


def pack(values: Mapping[str, Any], lists: Mapping[str, Sequence[Any]]) -> bytes:
    """The same bytes for the same values.

        magic (8) | length of the head ('<u8') | head | ends of the blocks ('<u8' each) | blocks

    Head and blocks are JSON, compressed by zlib. The head holds `values`, and how long each list is (`lengths`); a
    block 1,024 entries of a list. The lists follow one another in the order of `lengths`; ends count from the first
    block on.

    Args:
        values: That JSON can hold, by name.
        lists: Of such values, by name.
    """
    blocks = [
        _compress(entries[start : start + ENTRIES])
        for entries in lists.values()
        for start in range(0, len(entries), ENTRIES)
    ]
    head = _compress({"values": values, "lengths": {name: len(entries) for name, entries in lists.items()}})
    ends = np.cumsum([len(block) for block in blocks], dtype="<u8")
    return b"".join([MAGIC, len(head).to_bytes(8, "little"), head, ends.tobytes(), *blocks])


def of_bytes(content: bytes) -> ReadBytes:
    """What `PackedLists` reads from, of bytes in memory."""
    return lambda start, stop: content[start:stop]


class PackedLists:
    """What was packed: the values, and lists of which only the blocks are read that are asked for.

    Args:
        read: Gives the packed bytes.

    Attributes:
        values: By name.
        lengths: Of each list, by name.

    Raises:
        ValueError, TypeError, KeyError, zlib.error: it, and its methods, if the bytes are damaged.
    """

    def __init__(self, read: ReadBytes) -> None:
        start = len(MAGIC) + 8
        self._read = read
        self._ends = start + int.from_bytes(read(len(MAGIC), start), "little")
        head = json.loads(zlib.decompress(read(start, self._ends)))
        self.values: dict[str, Any] = head["values"]
        self.lengths: dict[str, int] = head["lengths"]
        counts = [-(-length // ENTRIES) for length in self.lengths.values()]
        firsts = np.cumsum([0, *counts]).tolist()
        self._first = dict(zip(self.lengths, firsts, strict=False))
        self._blocks = self._ends + 8 * firsts[-1]
        self._block = lru_cache(BLOCKS_KEPT)(self._read_block)

    def entry(self, name: str, index: int) -> Any:
        """One entry of a list."""
        return self._block(self._first[name] + index // ENTRIES)[index % ENTRIES]

    def entries(self, name: str) -> list[Any]:
        """A whole list."""
        first, count = self._first[name], -(-self.lengths[name] // ENTRIES)
        return [entry for number in range(first, first + count) for entry in self._read_block(number)]

    def _read_block(self, number: int) -> list[Any]:
        before = self._ends + 8 * (number - 1)
        begin, end = np.frombuffer(self._read(max(before, self._ends), before + 16), dtype="<u8")[[0, -1]].tolist()
        return json.loads(zlib.decompress(self._read(self._blocks + (begin if number else 0), self._blocks + end)))


def _compress(value: Any) -> bytes:
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)
