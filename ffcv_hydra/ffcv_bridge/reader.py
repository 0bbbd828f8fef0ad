"""FFCV's `Reader`, whose tables are read when they are asked for: this package's loader has its own."""

from typing import Any

import ffcv.reader

_TABLES = {"metadata": "read_metadata", "alloc_table": "read_allocation_table"}


class Reader(ffcv.reader.Reader):
    """A file's header and fields, its metadata and its allocation table."""

    def read_metadata(self) -> None:
        """Not yet."""

    def read_allocation_table(self) -> None:
        """Not yet."""

    def __getattr__(self, name: str) -> Any:
        if name not in _TABLES:
            raise AttributeError(f"Reader has no attribute '{name}'")
        getattr(super(), _TABLES[name])()
        return vars(self)[name]
