"""Where a file ends though there are more samples: by their number, or by the bytes that they take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ffcv_hydra.beton import layout
from ffcv_hydra.beton.format import ALLOCATION
from ffcv_hydra.beton.tables import Tables

TABLE_BYTES = ALLOCATION.itemsize + 8  # of an allocation, with its checksum


@dataclass(frozen=True)
class Limit:
    """A file is full with the sample that reaches one of these; None: never.

    Whether it is full follows from the samples in it, so that it is the same whenever and by whomever they are written.

    Attributes:
        num_samples: Samples.
        num_bytes: Bytes of samples, without the gaps before pages' borders, as `bytes_of` counts them.
    """

    num_samples: int | None = None
    num_bytes: int | None = None

    def is_reached(self, num_samples: int, num_bytes: int) -> bool:
        """Whether a file with so many samples and bytes of samples is full."""
        return (self.num_samples is not None and num_samples >= self.num_samples) or (
            self.num_bytes is not None and num_bytes >= self.num_bytes
        )

    def share(self, num_samples: int, num_bytes: int, tables: Tables) -> int:
        """How many further samples a file takes that has so many, and is not full."""
        count = tables.num_samples
        if self.num_samples is not None:
            count = min(count, self.num_samples - num_samples)
        if self.num_bytes is not None:
            ends = num_bytes + np.cumsum(bytes_of(tables))
            count = min(count, int(np.searchsorted(ends, self.num_bytes)) + 1)
        return count


def bytes_of(tables: Tables) -> np.ndarray:
    """The bytes that each sample takes in a file, in tables and as data: int64 (num_samples,)."""
    owners = tables.locations // tables.records.shape[1]
    room = layout.room(tables.sizes).astype(np.int64) + TABLE_BYTES
    sums = np.full(tables.num_samples, tables.records.shape[1], dtype=np.int64)
    np.add.at(sums, owners, room)
    return sums
