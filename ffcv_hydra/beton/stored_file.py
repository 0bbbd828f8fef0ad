"""A file that stored bytes lie in, and where it begins in the space that pointers count in."""

from pathlib import Path
from typing import NamedTuple


class StoredFile(NamedTuple):
    """One file of a beton, which has one, or of a sharded one.

    Attributes:
        path: absolute.
        start: the offset of its first byte; a multiple of the page size.
        num_bytes: its length when it was opened.
    """

    path: Path
    start: int
    num_bytes: int
