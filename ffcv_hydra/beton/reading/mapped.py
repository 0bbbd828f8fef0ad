"""A beton whose tables are read where they lie in the file, row by row: for files that were checked before."""

from __future__ import annotations

from collections.abc import Mapping
from io import BufferedReader

import numpy as np

from ffcv_hydra.beton import appendix
from ffcv_hydra.beton.allocations import Allocations
from ffcv_hydra.beton.appendix import DIGEST_BYTES
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.format import ALLOCATION
from ffcv_hydra.beton.reading import checks
from ffcv_hydra.beton.reading.mapping import map_into, reserved
from ffcv_hydra.beton.reading.reader import Beton


class MappedBeton(Beton):
    """As a `Beton`, of which nothing was compared and no table is in memory: it opens at once, however large it is.

    Every sample must have the same number of allocations, one after another, as in this package's files; `mapped` finds
    out. Whoever reads a row has looked whether the file is as long as it was: else that ends the process.
    """

    is_mapped = True

    def _read(self, file: BufferedReader, custom_fields: Mapping[str, type[Field]]) -> None:
        record, num_allocations = self._read_head(file, custom_fields)
        facts = appendix.unpack(file, self._metadata_end, self._table_start, with_checksums=False)
        self._take_facts(facts)
        num_bytes = self.files[0].num_bytes
        data = reserved(num_bytes)
        try:
            map_into(data, 0, num_bytes, file.fileno())
        except MemoryError as error:
            raise OSError("the system maps no more files at a time (vm.max_map_count)") from error
        self.metadata = data[self._metadata_end - self.num_samples * record.itemsize : self._metadata_end].view(record)
        table = data[self._table_start :].view(ALLOCATION)
        checksums = None
        if facts is not None and facts.num_checksums is not None:
            start = facts.start + DIGEST_BYTES
            checksums = data[start : start + 8 * num_allocations].view("<u8")
        self._allocations = allocations = Allocations(table["ptr"], table["size"], checksums)
        self._extents, self._checksums_of, self.is_regular = {}, {}, True
        for name, field in self.fields.items():
            metadata = self.field_metadata(name)
            offsets = checks.pointer_column(field, metadata)
            if offsets is None:
                continue
            rows = allocations.likely_rows(offsets)
            if rows is None:
                self.is_regular = False
                return
            self._extents[name] = offsets, checks.told_sizes(metadata, allocations.sizes[rows])
            if checksums is not None:
                self._checksums_of[name] = checksums[rows]


def mapped(beton: Beton) -> Beton:
    """The same, whose tables are where they lie in the file, if its rows are regular; else as it is."""
    found = MappedBeton(beton.path, beton.custom_fields)
    return found if found.is_regular and all(_is_alike(found, beton, name) for name in beton.fields) else beton


def _is_alike(found: Beton, beton: Beton, name: str) -> bool:
    columns = [
        [*(one.extents(name) or ()), *(known for known in [one.checksums_of(name)] if known is not None)]
        for one in (found, beton)
    ]
    return len(columns[0]) == len(columns[1]) and all(map(np.array_equal, *columns))
