"""A folder of shards that is being written, and how far it is.

`NAME.partial.shards` holds the shards; `NAME.partial.shards.json` says of which conversion they are, and where in the
source each of them ends. Where a shard ends is said before it is whole, so a conversion that is killed at any moment
knows where the next one begins.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ffcv_hydra.beton.writing.part_stream import Place
from ffcv_hydra.beton.writing.placing import check_is_ours, put_in_place, remove_folder

logger = logging.getLogger(__name__)


def unfinished_folder(path: Path) -> Path:
    """Where the shards of the sharded beton that will be at `path` are, until they are whole."""
    return path.with_name(f"{path.name}.partial.shards")


def remove_unfinished(path: Path) -> None:
    """Remove what an interrupted conversion into shards has left; raises as `check_is_ours`."""
    folder = unfinished_folder(path)
    if folder.is_dir():
        logger.warning("%s is of another conversion; it is removed", folder)
        remove_folder(folder)
    _remove_record(folder)


def _remove_record(folder: Path) -> None:
    for path in (_record_path(folder), _new_record_path(folder)):
        path.unlink(missing_ok=True)


def _record_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")


def _new_record_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json.new")


@dataclass(frozen=True)
class ShardEnd:
    """Where a shard ends in the source.

    Attributes:
        place: Of the sample after its last one.
        is_last: Whether there is none.
        num_warnings: Samples in it that come from damaged files.
        warnings: What there is to tell of the first of these.
    """

    place: Place
    is_last: bool
    num_warnings: int
    warnings: tuple[str, ...]


class UnfinishedShards:
    """The shards of the sharded beton that will be at `path`; the caller holds the right to write it.

    Args:
        path: Where it will be.
        fingerprint: Of the conversion. None: nothing can go on from what this one leaves.
        resume: Whether to go on from what an earlier conversion of the same thing has left.

    Attributes:
        folder: Where the shards are.
        ends: Of the shards that are finished or about to be.
    """

    def __init__(self, path: Path, fingerprint: bytes | None, *, resume: bool) -> None:
        self.folder = unfinished_folder(path)
        self.ends: list[ShardEnd] = []
        self._path = path
        self._record = _record_path(self.folder)
        self._fingerprint = None if fingerprint is None else fingerprint.hex()
        if self.folder.is_dir():
            check_is_ours(self.folder)
        if not (resume and self._read()):
            self._remove()
            self.folder.mkdir()
            self._write()

    def shard_path(self, number: int) -> Path:
        """Where a shard is."""
        return self.folder / f"{number:05d}.beton"

    def note_end(self, number: int, end: ShardEnd) -> None:
        """Note where a shard ends; it has reached the disk when this returns."""
        self.ends[number:] = [end]
        self._write()

    def appear(self) -> None:
        """Let the folder, which is whole, be at its path."""
        for pattern in ("*.partial*", ".*.writing"):  # a process that was killed has left them
            for path in self.folder.glob(pattern):
                path.unlink()
        put_in_place(self.folder, self._path)
        _remove_record(self.folder)

    def leave(self) -> None:
        """Remove it unless a later conversion can go on from it."""
        is_begun = self.folder.is_dir() and any(self.folder.iterdir())
        if self._fingerprint is None or not is_begun:
            self._remove()

    def _remove(self) -> None:
        remove_folder(self.folder)
        _remove_record(self.folder)

    def _read(self) -> bool:
        """Whether what is there is of this conversion; how far it is."""
        if not self.folder.is_dir():
            return False
        try:
            content = json.loads(self._record.read_bytes())
            ends = [
                ShardEnd(Place(**end["place"]), end["is_last"], end["num_warnings"], tuple(end["warnings"]))
                for end in content["ends"]
            ]
            is_same = self._fingerprint is not None and content["fingerprint"] == self._fingerprint
        except (OSError, ValueError, TypeError, KeyError):
            is_same = False
        if not is_same:
            logger.warning("%s is of another conversion; it is replaced", self.folder)
            return False
        self.ends = ends
        return True

    def _write(self) -> None:
        content = {"fingerprint": self._fingerprint, "ends": [asdict(end) for end in self.ends]}
        new = _new_record_path(self.folder)
        with open(new, "wb") as file:
            file.write(json.dumps(content).encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self._record)
