"""The columns of a beton's allocation table, as few copies of them as possible: a large file has millions of rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BLOCK_ROWS = 1 << 14  # what is checked at a time, so that intermediate arrays stay below 1 MB


class Allocations(NamedTuple):
    """Allocations in any one order.

    Attributes:
        pointers: uint64 (num_allocations,); where each begins in the file.
        sizes: uint64 (num_allocations,); bytes of each.
        checksums: uint64 (num_allocations,); None in files without.
    """

    pointers: np.ndarray
    sizes: np.ndarray
    checksums: np.ndarray | None

    def regular_rows(self, offsets: np.ndarray) -> slice | None:
        """The rows of the allocations at `offsets`, uint64 (num_samples,), if they are equally far apart.

        They are in this package's files, in which every sample has the same number of allocations, one after another.
        """
        rows = self.likely_rows(offsets)
        return rows if rows is not None and np.array_equal(self.pointers[rows], offsets) else None

    def likely_rows(self, offsets: np.ndarray) -> slice | None:
        """What `regular_rows` gives if it gives any: looks at the first sample alone."""
        per_sample, rest = divmod(len(self.pointers), len(offsets))
        if rest:
            return None
        of_first = np.flatnonzero(self.pointers[:per_sample] == offsets[0])
        # Of equal pointers the last one is that of the data: stock FFCV gives it to the empty values before as well.
        return slice(int(of_first[-1]), None, per_sample) if of_first.size else None

    def order(self) -> np.ndarray | None:
        """int64 (num_allocations,): sorts by pointers, then by sizes; None if the pointers rise already."""
        if np.all(self.pointers[1:] > self.pointers[:-1]):
            return None
        return np.lexsort((self.sizes, self.pointers))

    def sorted(self) -> Allocations:
        """These allocations in the order of the pointers; of equal ones, the empty allocation comes first."""
        order = self.order()
        if order is None:
            return self
        return Allocations(*(None if column is None else read_only(column[order]) for column in self))  # type: ignore[arg-type]


def read_only(array: np.ndarray) -> np.ndarray:
    """The array, which can no longer be written to."""
    array.setflags(write=False)
    return array
