"""Parts that came before their turn, kept on disk.

Shards are encoded at once but written one after another, so that the file is the same for any number of workers. What a
worker has made of a later shard may be gigabytes: they wait in a file without a name, which ends with the process.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ffcv_hydra.beton.tables import Tables
from ffcv_hydra.beton.writing.encoding import Part


@dataclass(frozen=True)
class SpooledPart:
    """A part whose data are in a file.

    Attributes:
        tables: The part's.
        file: The file.
        offset: Where the data begin in it, in bytes.
        size: How many bytes they are.
    """

    tables: Tables
    file: IO[bytes]
    offset: int
    size: int

    def read(self) -> Part:
        """The part as it was."""
        self.file.seek(self.offset)
        return Part(self.tables, self.file.read(self.size))


class Spool:
    """Keeps parts on disk, one file per portion, so that the room is free again once the portion's last part is read.

    Args:
        directory: Where the files are.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[int, IO[bytes]] = {}

    def put(self, part: Part, portion: int) -> SpooledPart:
        """Keep a part of a portion."""
        file = self._files.get(portion)
        if file is None:
            file = self._files[portion] = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115  (lives on in parts)
        offset = file.seek(0, 2)
        file.write(part.data)
        return SpooledPart(part.tables, file, offset, len(part.data))

    def forget(self, portion: int) -> None:
        """Close the file of a portion whose parts were all read."""
        file = self._files.pop(portion, None)
        if file is not None:
            file.close()

    def close(self) -> None:
        """Close all files."""
        for portion in list(self._files):
            self.forget(portion)
