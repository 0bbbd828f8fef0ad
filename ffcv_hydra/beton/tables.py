"""What is known of samples besides their data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tables:
    """What is known of consecutive samples besides their data.

    Attributes:
        records: uint8 (num_samples, itemsize); the metadata, with placeholders where pointers belong.
        locations: int64 (num_allocations,); where in the flattened `records` each allocation's pointer belongs.
        sizes: uint64 (num_allocations,); bytes.
        checksums: uint64 (num_allocations,); XXH64 of each allocation.
        warnings: What there is to tell of samples that were stored though they are damaged, a line each.
    """

    records: np.ndarray
    locations: np.ndarray
    sizes: np.ndarray
    checksums: np.ndarray
    warnings: tuple[str, ...] = ()

    @property
    def num_samples(self) -> int:
        return len(self.records)

    @staticmethod
    def joined(tables: Sequence[Tables]) -> Tables:
        """The tables of all samples of `tables`, one after another."""
        starts = np.cumsum([0, *(one.records.size for one in tables[:-1])])
        return Tables(
            records=np.concatenate([one.records for one in tables]),
            locations=np.concatenate([one.locations + start for one, start in zip(tables, starts, strict=True)]),
            sizes=np.concatenate([one.sizes for one in tables]),
            checksums=np.concatenate([one.checksums for one in tables]),
            warnings=tuple(line for one in tables for line in one.warnings),
        )

    def piece(self, start: int, stop: int) -> Tables:
        """The tables of the samples from `start` to `stop`. What there is to tell goes with the first sample."""
        itemsize = self.records.shape[1]
        first, end = np.searchsorted(self.locations // itemsize, (start, stop)).tolist()
        return Tables(
            records=self.records[start:stop],
            locations=self.locations[first:end] - start * itemsize,
            sizes=self.sizes[first:end],
            checksums=self.checksums[first:end],
            warnings=self.warnings if start == 0 else (),
        )

    def begins(self, longer: Tables) -> bool:
        """Whether `longer` starts with these very samples."""
        return all(
            np.array_equal(mine, others[: len(mine)])
            for mine, others in (
                (self.records, longer.records),
                (self.locations, longer.locations),
                (self.sizes, longer.sizes),
                (self.checksums, longer.checksums),
            )
        )
