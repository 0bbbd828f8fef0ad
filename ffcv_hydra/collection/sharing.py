"""One conversion by several processes, on one machine or on many that see the same folder.

Each makes shards that nobody makes, under a lock per shard; all of them keep others from the whole meanwhile. Who
finds that all shards are there takes the right to write the whole, which nobody else has any more then, and does what a
single process does at its end. A process that dies leaves what any other one goes on with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ffcv_hydra.beton.fields.options import FieldSpecs
from ffcv_hydra.beton.summary import BetonSummary, tell_of_damage
from ffcv_hydra.beton.writing.partial import Partial, kept_from_others
from ffcv_hydra.beton.writing.preparing import prepare
from ffcv_hydra.beton.writing.resuming import progress_bar
from ffcv_hydra.beton_path import beton_exists
from ffcv_hydra.collection.limits import ShardLimits
from ffcv_hydra.collection.unfinished import UnfinishedShards
from ffcv_hydra.collection.writing import ShardedConversion
from ffcv_hydra.errors import ConversionError


@dataclass(frozen=True)
class Worker:
    """One of several processes that convert a dataset.

    Attributes:
        number: Which one, from 0.
        count: How many there are.

    Raises:
        ConversionError: if these are no such numbers.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        numbers = (self.number, self.count)
        if any(isinstance(value, bool) or not isinstance(value, int) for value in numbers) or not (
            0 <= self.number < self.count
        ):
            raise ConversionError(
                f"conversion.worker={self.number} conversion.workers={self.count}: give the number of workers, and to"
                f" each another worker from 0 on"
            )

    def runs(self, num_shards: int) -> Iterator[range]:
        """All shards, in the order in which this worker looks for one to make: first its share, as one run.

        It helps the one before it from the end of its share, where that one comes last.
        """
        start, stop = (number * num_shards // self.count for number in (self.number, self.number + 1))
        yield range(start, stop)
        for number in (*reversed(range(start)), *reversed(range(stop, num_shards))):
            yield range(number, number + 1)


@dataclass(frozen=True)
class WorkerSummary:
    """What one of several workers has done of a beton that is not whole yet.

    Attributes:
        path: The beton.
        made: The numbers of the shards that it has made.
        num_finished: Shards that are there.
        num_shards: Shards that there will be.
    """

    path: Path
    made: Sequence[int]
    num_finished: int
    num_shards: int

    def __str__(self) -> str:
        made = sorted(self.made)
        starts = [number for number in made if number - 1 not in made]
        stops = [number for number in made if number + 1 not in made]
        spans = [f"{a} to {b}" if a < b else f"{a}" for a, b in zip(starts, stops, strict=True)]
        what = f"shard{'s' * (len(made) > 1)} {', '.join(spans)}" if made else "no shard"
        return f"{self.path}: {what} of {self.num_shards} made; {self.num_finished} of {self.num_shards} are there"


def make_shards(
    dataset: Any,
    path: str | os.PathLike[str],
    fields: FieldSpecs = None,
    *,
    worker: Worker,
    shards: int,
    progress: bool | None = None,
    **options: Any,
) -> BetonSummary | WorkerSummary | None:
    """Make shards of a beton as one of several workers; see `write_sharded_beton` for the other arguments.

    Workers may be started and started again in any order, or not at all: what one leaves another one makes. The bytes
    are those that one process writes. All need the same file system, with locks that hold for all of them.

    Returns:
        The summary of the whole from who has finished it; None if it was there before.

    Raises:
        ConversionError: as `write_sharded_beton`; also if what another worker has begun is of another conversion, or
            if what a worker makes cannot be told from what another one does.
    """
    path = Path(os.path.expanduser(path))
    prepared = prepare(dataset, fields, **options)
    conversion = ShardedConversion(prepared, ShardLimits(prepared.source, shards, None), f"worker {worker.number}")
    if conversion.fingerprint is None:
        raise ConversionError(
            f"{path}: whether all workers convert the same cannot be told, since {type(dataset).__name__} or a field"
            f" cannot be pickled; give a description, or convert with one process"
        )
    with _joined(conversion, path) as unfinished:
        if unfinished is None:
            return None
        writer = conversion.writer(unfinished, shared=True)
        first = next(writer.finished(), None)
        if first is not None and not writer.begins_the_same(first):
            raise ConversionError(
                f"{unfinished.shard_path(first)}: the dataset gives other samples here than are in it; give all workers"
                f" the same, or remove {unfinished.folder}"
            )
        with progress_bar(path.name, None, 0, progress) as advance:
            made = [number for run in worker.runs(shards) for number in writer.write(run, advance)]
        done = WorkerSummary(path, made, len(list(writer.finished())), shards)
    if done.num_finished < shards:
        return done
    with Partial.locked(path):
        if not unfinished.is_there():  # another worker was quicker
            return done
        summary = conversion.complete(unfinished, conversion.writer(unfinished).kept(), progress)
    tell_of_damage(summary)
    return replace(summary, path=path)


@contextmanager
def _joined(conversion: ShardedConversion, path: Path) -> Iterator[UnfinishedShards | None]:
    """The shards to work on, which nobody takes away meanwhile; None if the beton is there."""
    while True:
        with kept_from_others(path) as target:
            unfinished = UnfinishedShards(target)
            record = None if beton_exists(target) else unfinished.record()
            if record is not None:
                if difference := conversion.difference(unfinished):
                    raise ConversionError(
                        f"{unfinished.folder} was begun by {record.begun_by} for another conversion: {difference}; give"
                        f" all workers the same, or remove this folder"
                    )
                yield unfinished
                return
        if beton_exists(target):
            with Partial.if_free(path):  # removes the lock's file
                pass
            yield None
            return
        with Partial.locked(path) as held:
            if not beton_exists(target) and unfinished.record() is None:
                held.discard()
                unfinished.begin(conversion.record, conversion.prepared.manifest)
