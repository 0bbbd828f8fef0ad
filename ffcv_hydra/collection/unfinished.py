"""A folder of shards that is being written, and how far it is.

`NAME.partial.shards` holds the shards, those that are finished under their names. `NAME.partial.facts` says of which
conversion they are, and of each shard, in a file of its own, where in the source it ends: so several processes may each
write another shard. Where a shard ends is said before it is whole, so whoever finds it knows where the next one begins.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ffcv_hydra.beton.writing.placing import put_in_place, remove_folder
from ffcv_hydra.beton.writing.source import Place
from ffcv_hydra.collection.index import Index, write_index, write_manifest

logger = logging.getLogger(__name__)


def remove_unfinished(path: Path) -> None:
    """Remove what an interrupted conversion into shards has left; raises as `check_is_ours`."""
    unfinished = UnfinishedShards(path)
    if unfinished.folder.is_dir():
        logger.warning("%s is of another conversion; it is removed", unfinished.folder)
    unfinished.remove()


@dataclass(frozen=True)
class ConversionRecord:
    """Of which conversion shards are.

    Attributes:
        fingerprint: Of all that decides what is in them; None: nobody can go on from what this one leaves.
        begun_by: Who has begun it, in words.
        description: What it converts, as plain values.
        options: How, by which two conversions can be told apart in words.
        manifest: The file in the folder that says how the source looked; empty if none does.
    """

    fingerprint: str | None
    begun_by: str
    description: dict[str, Any]
    options: dict[str, Any]
    manifest: str = ""


@dataclass(frozen=True)
class ShardEnd:
    """Where a shard ends in the source.

    Attributes:
        place: Of the sample after its last one.
        is_last: Whether there is none.
        num_warnings: Samples in it that something was wrong with.
        warnings: What there is to tell of the first of these.
    """

    place: Place
    is_last: bool
    num_warnings: int
    warnings: tuple[str, ...]


class UnfinishedShards:
    """The shards of the sharded beton that will be at `path`.

    Attributes:
        path: Where it will be.
        folder: Where the shards are.
        first: The number that the first of them has in the whole.
    """

    first = 0

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.with_name(f"{path.name}.partial.shards")
        self._facts = path.with_name(f"{path.name}.partial.facts")

    def record(self) -> ConversionRecord | None:
        """Of which conversion they are; None: of none, or of one that did not come to say so."""
        try:
            content = json.loads((self._facts / "conversion.json").read_bytes())
            return ConversionRecord(**content) if self.folder.is_dir() else None
        except (OSError, ValueError, TypeError):
            return None

    def is_there(self) -> bool:
        """Whether a conversion has left anything."""
        return self.record() is not None or bool(self._shards())

    def begin(self, record: ConversionRecord, manifest: bytes) -> ConversionRecord:
        """Begin anew, with the right to write `path`; gives what `record` finds then."""
        self.remove()
        self.folder.mkdir(exist_ok=True)
        self._facts.mkdir()
        begun = replace(record, manifest=write_manifest(self.folder, manifest) if manifest else "")
        _write(self._facts / "conversion.json", asdict(begun))
        return begun

    def shard_path(self, number: int) -> Path:
        """Where a shard is."""
        return self.folder / f"{self.first + number:05d}.beton"

    def note_end(self, number: int, end: ShardEnd) -> None:
        """Note where a shard ends; it has reached the disk when this returns."""
        _write(self._end_path(number), asdict(end))

    def end(self, number: int) -> ShardEnd | None:
        """Where a shard ends that is finished or about to be; None: nobody knows."""
        try:
            content = json.loads(self._end_path(number).read_bytes())
            return ShardEnd(**content | {"place": Place(**content["place"]), "warnings": tuple(content["warnings"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def is_finished(self, number: int) -> bool:
        """Whether a shard is there."""
        return self.shard_path(number).exists() and self.end(number) is not None

    def appear(self, index: Index) -> Index:
        """Let the folder, which is whole, be at its path, with this index; gives that of the beton."""
        for path in self._left():
            path.unlink()
        write_index(self.folder, index)
        put_in_place(self.folder, self.path)
        self._remove_facts()
        return index

    def leave(self) -> None:
        """Remove it unless a later conversion can go on from it."""
        record = self.record()
        if record is None or record.fingerprint is None or not self._shards():
            self.remove()

    def remove(self) -> None:
        """Remove all of it; raises as `check_is_ours`."""
        remove_folder(self.folder)
        self._remove_facts()

    def _shards(self, suffix: str = "") -> list[Path]:
        """The files of the shards, of those that are not finished only if `suffix` is `.partial`."""
        found = self.folder.glob(f"[0-9]*.beton{suffix}*")
        return [path for path in found if int(path.name.partition(".")[0]) >= self.first]

    def _left(self) -> list[Path]:
        """What processes that were killed have left."""
        return [*self._shards(".partial"), *self.folder.glob(".*.writing")]

    def _end_path(self, number: int) -> Path:
        return self._facts / f"{number:05d}.json"

    def _remove_facts(self) -> None:
        if self._facts.is_dir():
            for path in [self._facts / "conversion.json", *self._facts.glob("*.json*")]:
                path.unlink(missing_ok=True)
            self._facts.rmdir()


def _write(path: Path, content: dict[str, Any]) -> None:
    new = path.with_name(f"{path.name}.new")
    with open(new, "wb") as file:
        file.write(json.dumps(content).encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
