"""What tells data apart: a digest of samples in their order that does not depend on the files they lie in.

A sample counts by its metadata without the pointers, and by the checksums of its data. Digests of consecutive samples
compose, so that a collection of files has the digest of one file with the same samples, and nobody has to read them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffcv_hydra.beton.allocations import BLOCK_ROWS
from ffcv_hydra.beton.format import HEADER
from ffcv_hydra.beton.layout import metadata_start
from ffcv_hydra.beton.reading.checks import pointer_column
from ffcv_hydra.beton.reading.reader import Beton
from ffcv_hydra.kernels.memory.polynomial_hash import BASES, MODULUS, append_records

_TEXT = re.compile(r"[0-9a-f]{48}")


@dataclass(frozen=True)
class DataDigest:
    """Of consecutive samples. Its text is 48 hex digits.

    Attributes:
        num_samples: How many.
        values: Two numbers below 2**61 - 1, see `ffcv_hydra.kernels.memory.polynomial_hash`.
    """

    num_samples: int = 0
    values: tuple[int, int] = (0, 0)

    def then(self, other: DataDigest) -> DataDigest:
        """The digest of these samples followed by those of `other`."""
        first, second = (
            (mine * pow(base, other.num_samples, MODULUS) + theirs) % MODULUS
            for mine, theirs, base in zip(self.values, other.values, BASES, strict=True)
        )
        return DataDigest(self.num_samples + other.num_samples, (first, second))

    def __str__(self) -> str:
        return "".join(f"{number:016x}" for number in (self.num_samples, *self.values))

    @classmethod
    def parse(cls, text: str) -> DataDigest:
        """The digest whose text this is. Raises `ValueError` for any other text."""
        if not _TEXT.fullmatch(text):
            raise ValueError("no digest of data")
        num_samples, first, second = (int(text[start : start + 16], 16) for start in (0, 16, 32))
        if max(first, second) >= MODULUS:
            raise ValueError("no digest of data")
        return cls(num_samples, (first, second))


def data_digest(beton: Beton) -> DataDigest | None:
    """The digest of all samples of a beton.

    None where it cannot be told: the file has no checksums (stock FFCV), or a field class of a user's own has data of
    which the metadata do not say, as those of other fields do, where they lie.
    """
    with_data = [name for name in beton.fields if beton.extents(name) is not None]
    checksums = [known for name in with_data if (known := beton.checksums_of(name)) is not None]
    if beton.checksums is None or len(checksums) * beton.num_samples != len(beton.checksums):
        return None
    records = beton.metadata.view(np.uint8).reshape(beton.num_samples, -1)
    columns, values = content_bytes(beton), np.zeros(2, dtype=np.uint64)
    for start in range(0, beton.num_samples, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        further = np.empty((len(records[block]), len(checksums)), dtype="<u8")
        for position, column in enumerate(checksums):
            further[:, position] = column[block]
        append_records(records[block], columns, further.view(np.uint8).reshape(len(further), -1), values)
    first, second = values.tolist()
    return DataDigest(beton.num_samples, (first, second))


def fields_identity(beton: Beton) -> str:
    """SHA-256 of the descriptors of a beton's fields (names, types, arguments), as hex digits."""
    with open(beton.path, "rb") as file:
        file.seek(HEADER.itemsize)
        return hashlib.sha256(file.read(metadata_start(len(beton.fields)) - HEADER.itemsize)).hexdigest()


def content_bytes(beton: Beton) -> np.ndarray:
    """Which bytes of a record are neither pointers nor between columns, int64 (N,)."""
    counts = np.zeros(1, dtype=beton.metadata.dtype)
    marks = counts.view(np.uint8)
    for start, stop in _plain_columns(counts.dtype):
        marks[start:stop] = 1
    for (name, field), column in zip(beton.fields.items(), counts.dtype.names or (), strict=True):
        if beton.extents(name) is not None and (pointers := pointer_column(field, counts[column])) is not None:
            pointers[:] = 0
    return np.flatnonzero(marks)


def _plain_columns(dtype: np.dtype, start: int = 0) -> Iterator[tuple[int, int]]:
    """The bytes of each column that has no columns of its own, as (start, stop)."""
    if dtype.fields is None:
        yield start, start + dtype.itemsize
    else:
        for column, offset in (found[:2] for found in dtype.fields.values()):
            yield from _plain_columns(column, start + offset)
