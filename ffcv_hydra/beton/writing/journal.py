"""The journal of a conversion: what is known of its finished samples, so that a later conversion can go on from there.

    magic (8) | fingerprint (32) | digest (16) | entry | entry | ...

An entry holds the tables of one or more whole portions; their data stand in the beton that is being written. Each ends
in the XXH3-128 of itself and the digest before it, so a journal is valid up to its last whole entry, however it is cut.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import xxhash

from ffcv_hydra.beton.tables import Tables

MAGIC = b"FFCVJRN2"
FINGERPRINT_BYTES = 32
DIGEST_BYTES = 16
HEADER_BYTES = len(MAGIC) + FINGERPRINT_BYTES + DIGEST_BYTES
ENTRY_HEAD = np.dtype([(name, "<u8") for name in ("num_portions", "num_samples", "num_allocations", "warning_bytes")])


@dataclass(frozen=True)
class Entry:
    """Whole portions that are finished.

    Attributes:
        num_portions: How many portions are finished with these. An entry without samples, whose number is one above the
            last one's, says that data which stood in the way of the metadata were copied to the end.
        tables: Of these portions.
    """

    num_portions: int
    tables: Tables


class Journal:
    """A journal in a file that is open for reading and writing.

    Args:
        file: The file.
        itemsize: Bytes of one sample's metadata.
    """

    def __init__(self, file: BinaryIO, itemsize: int) -> None:
        self._file = file
        self._itemsize = itemsize
        self._end = 0
        self._digest = b""

    def begin(self, fingerprint: bytes) -> None:
        """Empty the file and begin a journal in it."""
        self._end = 0
        self._digest = b""
        self._append(MAGIC + fingerprint)

    def is_of(self, fingerprint: bytes) -> bool:
        """Whether the file holds the journal of the conversion that has this fingerprint."""
        self._file.seek(0)
        header = self._file.read(HEADER_BYTES)
        expected = MAGIC + fingerprint
        return header == expected + _digest(expected)

    def entries(self) -> Iterator[Entry]:
        """The entries up to the last whole one. What is appended after all were read follows that one."""
        num_bytes = os.fstat(self._file.fileno()).st_size
        self._file.seek(0)
        self._end = HEADER_BYTES
        self._digest = self._file.read(HEADER_BYTES)[-DIGEST_BYTES:]
        while (entry := self._read_entry(num_bytes)) is not None:
            yield entry

    def append(self, entry: Entry) -> None:
        """Append an entry; it has reached the disk when this returns."""
        tables = entry.tables
        warnings = json.dumps(tables.warnings).encode() if tables.warnings else b""
        counts = entry.num_portions, len(tables.records), len(tables.sizes), len(warnings)
        columns = np.array([counts], ENTRY_HEAD), tables.records, tables.locations, tables.sizes, tables.checksums
        self._append(b"".join(np.ascontiguousarray(column).tobytes() for column in columns) + warnings)

    def no_tables(self) -> Tables:
        """Tables of no samples."""
        none = np.empty(0, dtype=np.uint64)
        return Tables(np.empty((0, self._itemsize), dtype=np.uint8), none.astype(np.int64), none, none)

    def _append(self, content: bytes) -> None:
        digest = _digest(self._digest + content)
        self._file.seek(self._end)
        self._file.truncate()  # an entry that was cut short, or is no longer wanted
        self._file.write(content + digest)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._end += len(content) + DIGEST_BYTES
        self._digest = digest

    def _read_entry(self, num_bytes: int) -> Entry | None:
        self._file.seek(self._end)
        head = self._file.read(ENTRY_HEAD.itemsize)
        if len(head) < ENTRY_HEAD.itemsize:
            return None
        counts = (int(number) for number in np.frombuffer(head, ENTRY_HEAD)[0])
        num_portions, num_samples, num_allocations, warning_bytes = counts
        size = num_samples * self._itemsize + 24 * num_allocations + warning_bytes
        if self._end + len(head) + size + DIGEST_BYTES > num_bytes:
            return None
        body = self._file.read(size)
        digest = self._file.read(DIGEST_BYTES)
        if digest != _digest(self._digest + head + body):
            return None
        self._end += len(head) + size + DIGEST_BYTES
        self._digest = digest
        warnings = tuple(json.loads(body[size - warning_bytes :])) if warning_bytes else ()
        content = np.frombuffer(body[: size - warning_bytes], np.uint8)
        records, columns = np.split(content, [num_samples * self._itemsize])
        locations, sizes, checksums = np.frombuffer(columns.tobytes(), "<u8").reshape(3, num_allocations)
        shaped = records.reshape(num_samples, self._itemsize)
        return Entry(num_portions, Tables(shaped, locations.astype(np.int64), sizes, checksums, warnings))


def _digest(content: bytes) -> bytes:
    return xxhash.xxh3_128_digest(content)
