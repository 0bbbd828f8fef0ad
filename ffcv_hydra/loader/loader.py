"""Iterates batches of one beton: the same batches on every run, in order, valid for as long as they are held."""

import copy
import functools
import logging
import os
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import torch

from ffcv_hydra.beton import Beton
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.cores import usable_cores
from ffcv_hydra.errors import LoaderError, PipelineError, SampleError
from ffcv_hydra.loader.engine.batch_job import Job, jobs
from ffcv_hydra.loader.engine.buffers import BufferPool
from ffcv_hydra.loader.engine.epoch_order import EpochOrder
from ffcv_hydra.loader.engine.execution import Executor
from ffcv_hydra.loader.engine.failures import FailedSamples, OnError
from ffcv_hydra.loader.engine.indices import resolve_indices
from ffcv_hydra.loader.engine.storage import Storage
from ffcv_hydra.loader.engine.threads import Engine
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.passes import make_plan
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.loader.plan.settings import settings_of
from ffcv_hydra.loader.position import Position
from ffcv_hydra.loader.sampler import InOrderSampler, Sampler
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.ordering import Sequential, as_ordering, split_over_ranks
from ffcv_hydra.ordering.identity import digest
from ffcv_hydra.ordering.options import OrderOption
from ffcv_hydra.pipeline import Pipeline

log = logging.getLogger(__name__)

_MOST_THREADS = 1024
_WHOLE_NUMBERS: dict[str, tuple[Callable[[int], bool], str]] = {
    "batch_size": (lambda value: value >= 1, "of at least 1"),
    "batches_ahead": (lambda value: value >= 1, "of at least 1"),
    "seed": (lambda value: 0 <= value < 2**64, "of at least 0 and below 2**64"),
    "num_workers": (
        lambda value: value == -1 or 1 <= value <= _MOST_THREADS,
        f"of threads from 1 to {_MOST_THREADS}, or -1 for one per usable core",
    ),
}


class Loader:
    """Batches of a beton, as tuples with one tensor (or array) per field.

    Args:
        path: the beton.
        batch_size: samples per batch and rank.
        pipelines: the operations of each field, by field name or in the order of the file's fields; None for the
            field's default ones, 'disabled' to leave it out. Other names are further outputs, given as a `PipelineSpec`
            with a source.
        ordering: an FFCV `OrderOption`, an `ffcv_hydra.ordering.Ordering`, or an FFCV `TraversalOrder` class.
        indices: ids of the samples to use, a boolean mask, or a callable that takes the number of samples in the file
            and gives either; all samples by default.
        seed: of the order and of every random operation.
        num_workers: threads, from 1 on; one per usable core by default (-1).
        os_cache: map the file and rely on the page cache, or read exactly what each chunk needs.
        batches_ahead: how many batches may be prepared before they are asked for.
        on_error: what becomes of a sample whose stored data is damaged. 'raise': an error; 'skip': it is left out, and
            the batch is shorter; 'zero': its field is zeros. `failed_samples` says which ones were met. A batch that
            'skip' leaves empty is left out, too, or, with `drop_last`, replaced by the nearest one before it: a
            trainer and other ranks count on `len()` batches. Several ranks without `drop_last` get an error then.
        replace_ffcv_operations: put the project's operations for FFCV's where they mean the same.
        drop_last: leave out the last batch if it is not full. Without, every sample comes exactly once over all ranks.
        rank, world_size: which part of each global batch to give.
        custom_fields: field classes by field name, for types that FFCV does not know.

    Raises:
        BetonError: if the file cannot be used.
        PipelineError: if a pipeline does not fit the file.
        LoaderError: for options out of range, or fewer samples than ranks or than one global batch.

    The epoch is set by `loader.sampler.set_epoch`, as Lightning does, and moves on by itself after a complete pass. It
    is read, as are a state to resume from and the operations' attributes, when the first batch is asked for: a size or
    a probability that is set between two epochs (`decoder.output_size = (160, 160)`) holds from the next pass on.

    A loader can be copied and pickled, to be read in another process: the copy opens the file again, and has the epoch,
    the position and the sizes. So can it be used after a fork, and by several threads, which share a pass's batches.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        batch_size: int,
        *,
        pipelines: Mapping[str, Pipeline] | Sequence[Pipeline] | None = None,
        ordering: Any = OrderOption.SEQUENTIAL,
        indices: Sequence[int] | np.ndarray | Callable[[int], Any] | None = None,
        seed: int = 0,
        num_workers: int = -1,
        os_cache: bool = True,
        batches_ahead: int = 3,
        drop_last: bool = False,
        on_error: str = "raise",
        replace_ffcv_operations: bool = True,
        rank: int = 0,
        world_size: int = 1,
        custom_fields: Mapping[str, type[Field]] | None = None,
    ) -> None:
        self._arguments = {
            "path": path, "batch_size": batch_size, "pipelines": pipelines, "ordering": ordering, "indices": indices,
            "seed": seed, "num_workers": num_workers, "os_cache": os_cache, "batches_ahead": batches_ahead,
            "drop_last": drop_last, "on_error": on_error, "replace_ffcv_operations": replace_ffcv_operations,
            "rank": rank, "world_size": world_size, "custom_fields": custom_fields,
        }  # fmt: skip
        for name, (allowed, text) in _WHOLE_NUMBERS.items():
            value = self._arguments[name]
            if isinstance(value, bool) or not isinstance(value, int) or not allowed(value):
                raise LoaderError(f"{name} must be a whole number {text}; got {value!r}")
        if on_error not in (policy.value for policy in OnError):
            raise LoaderError(f"on_error must be raise, skip or zero; got {on_error!r}")
        if not 0 <= rank < world_size:
            raise LoaderError(f"rank must be in [0, {world_size}); got {rank}")
        self.batch_size = batch_size
        self.rank, self.world_size = rank, world_size
        self.global_batch_size = batch_size * world_size
        self.seed = seed
        self.drop_last = drop_last
        self.batches_ahead = batches_ahead
        self.num_workers = num_workers if num_workers > 0 else usable_cores()

        self._pipelines = pipelines or {}
        self._beton = Beton(path, custom_fields)
        self._arguments["path"] = self._beton.path
        self.indices = resolve_indices(indices, self._beton)
        self.num_samples = len(self.indices)
        self._order = EpochOrder(self._beton, self.indices, as_ordering(ordering), seed)
        self.sampler = InOrderSampler() if isinstance(self._order.ordering, Sequential) else Sampler()
        self._split = split_over_ranks(self.num_samples, batch_size, world_size, rank, drop_last)
        self._storage = Storage(self._beton, os_cache)
        self._failures = FailedSamples()
        self._on_error = OnError(on_error)
        self._size_schedules: dict[str, Callable[[int], Any]] = {}
        self._sizes: dict[str, Any] = {}
        self._executor = self._build_executor()
        self.output_names = tuple(self._executor.plan.outputs)
        self.pictures = self._executor.plan.pictures
        self._scratches: list[list[Scratch]] = []
        self._abandoned: deque[Engine] = deque()  # of passes that were collected; their scratch is still in use
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._given: tuple[int, list[int]] = (0, [])  # with on_error=skip: an epoch, and which of its batches came
        self._position = Position(
            {
                "beton": self._beton.checksum,
                "indices": digest(self.indices.tobytes()),
                "seed": seed,
                "ordering": self._order.identity(),
                "global batch size": self.global_batch_size,
                "drop_last": drop_last,
            }
        )

    # Lightning reads it when it asks whether a loader shuffles
    batch_sampler = None

    def __len__(self) -> int:
        return len(self._split)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        if self.world_size == 1 and torch.distributed.is_available() and torch.distributed.is_initialized():
            _warn_of_whole_reads(torch.distributed.get_rank(), torch.distributed.get_world_size())
        return _Pass(self)

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = dict(self._arguments)
        if callable(arguments["indices"]):
            arguments["indices"] = self.indices
        state = {
            "sampler": vars(self.sampler),
            "position": self._position,
            "sizes": self._size_schedules,
            "failures": self._failures.__getstate__(),
        }
        return _made_again, (type(self), arguments), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self.sampler).update(state["sampler"])
        self._position.follow(state["position"])
        self._size_schedules = dict(state["sizes"])
        self._failures.__setstate__(state["failures"])

    def peek(self) -> tuple[Any, ...] | None:
        """The batch that the epoch begins with, for a look: no pass has begun by it; None if there is none."""
        other = object.__new__(type(self))  # that shares all but where it is
        vars(other).update(vars(self), sampler=copy.copy(self.sampler), _position=Position({}))
        look = _Pass(other)
        try:
            return next(look, None)
        finally:
            look._end()

    def sample_ids(self, batch_index: int) -> np.ndarray:
        """int64: the ids of this rank's batch `batch_index` in the current epoch."""
        epoch, given = self._given
        if epoch == self.sampler.epoch and batch_index < len(given):
            batch_index = given[batch_index]
        ids = self._order.ids(self.sampler.epoch)[self._split.batch(batch_index)]
        return ids[~np.isin(ids, self.failed_samples)] if self._on_error is OnError.SKIP else ids

    def stored_numbers(self, field: str) -> np.ndarray | None:
        """The values of all samples, (num_samples,), of a field of whole numbers; None for one of another kind.

        They are in the order of `indices`. Raises `BetonError` if there is no such field.
        """
        values = self._beton.field_metadata(field)
        return values[self.indices] if values.dtype.kind == "i" and values.ndim == 1 else None

    @property
    def plan(self) -> Plan:
        """What is done to every batch; `print` shows it."""
        return self._executor.plan

    @property
    def failed_samples(self) -> list[int]:
        """The ids of the damaged samples that this rank has met so far, sorted; with `on_error` other than 'raise'."""
        return self._failures.samples()

    def set_output_size(self, output: str, size: Callable[[int], int | Sequence[int]]) -> None:
        """Change the size that images are decoded to from epoch to epoch; kernels are not compiled anew for it.

        Args:
            output: whose decoder takes a size; outputs that are joint with it follow.
            size: gives (height, width) in pixels, or one number for both, of an epoch. A pure function, so that a run
                that is resumed goes on with the sizes it had.

        Raises:
            PipelineError: if there is no such output, or its decoder has one size only.
        """
        epoch = self.sampler.epoch
        self._make_plan(self._sizes | {output: size(epoch)})  # raises
        self._size_schedules[output] = size

    def filter(self, output: str, condition: Callable[[Any], bool]) -> "Loader":
        """A loader of the samples that fulfil a condition: the same ones on every rank, of the same epoch and sizes.

        Args:
            output: the name of the field, or of another output, to look at.
            condition: is given one sample of it, as this loader's pipeline for it makes it; all views, if it has some.

        Raises:
            PipelineError: if there is no such output.
            LoaderError: if too few samples are left.
        """
        if output not in self.output_names:
            known = ", ".join(self.output_names)
            raise PipelineError(f"filter: {self._beton.path} gives no output '{output}'; it gives {known}")
        everything = {"ordering": OrderOption.SEQUENTIAL, "drop_last": False, "rank": 0, "world_size": 1}
        whole = self._with(**everything)
        place = whole.output_names.index(output)
        kept = [
            sample_id
            for index, batch in enumerate(_Pass(whole))  # by every rank, as it should be
            for sample_id, sample in zip(whole.sample_ids(index).tolist(), _samples(batch[place]), strict=True)
            if condition(sample)
        ]
        return self._with(indices=np.array(kept, dtype=np.int64))

    def _with(self, **arguments: Any) -> "Loader":
        """The same loader with other arguments, at the beginning of the epoch."""
        other = type(self)(**{**self._arguments, **arguments})
        other.sampler.set_epoch(self.sampler.epoch)
        other._size_schedules = dict(self._size_schedules)
        return other

    def state_dict(self) -> dict[str, Any]:
        """How far the last pass came: plain values, the same on every rank."""
        return self._position.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`: the next pass over its epoch begins at the batch after the last delivered one.

        Raises:
            LoaderError: if the state is of other data, another order or another global batch size; says which.
        """
        epoch, epoch_set = self._position.load_state_dict(state)
        self.sampler.go_on(epoch, epoch_set, is_over=state["batches"] >= len(self))

    def _make_plan(self, sizes: Mapping[str, Any]) -> Plan:
        return make_plan(
            self._pipelines,
            self._beton,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            batches_ahead=self.batches_ahead,
            replace=self._arguments["replace_ffcv_operations"],
            sizes=sizes,
        )

    def _build_executor(self) -> Executor:
        settings = settings_of(self._pipelines, self._beton)
        plan = self._make_plan(self._sizes)
        self._settings = settings
        _log_replaced(plan.replaced)
        for node in plan.mixing:
            self._check_mixing(node)
        return Executor(
            plan,
            self._storage,
            BufferPool(pinned=torch.cuda.is_available()),
            self.batch_size,
            self._on_error,
            self._failures,
        )

    def _check_mixing(self, node: Node) -> None:
        """Refuse what would tear a pair apart, or mix a sample with one that is not there."""
        what = f"pipeline of '{node.output}': {node.name} mixes neighbours in the order"
        if self.batch_size % 2:
            raise LoaderError(f"{what}, so the batch size must be even; it is {self.batch_size}")
        if self.world_size > 1 and not self.drop_last:
            raise LoaderError(f"{what}, which several ranks keep together with drop_last=true only")
        if self._on_error is OnError.SKIP:
            raise LoaderError(f"{what}, and the partner of a skipped sample has none; use on_error=raise or zero")

    def batch_jobs(self, executor: Executor, epoch: int, first_batch: int) -> Iterator[Job]:
        """The batches of this rank from one on, for `executor`, which keeps what an order by pages reads."""
        ids = self._order.ids(epoch)
        by_pages = self._order.ordering.by_pages
        pages = executor.pages_for(ids[self._split.positions(first_batch)]) if by_pages else None
        yield from jobs(self._order, self._split, epoch, first_batch, pages)

    def _start_pass(self) -> tuple[int, int, Engine]:
        """Epoch, first batch, and the running engine."""
        if self._process != os.getpid():
            self._begin_in_child()
        with self._lock:
            epoch, epoch_set = self.sampler.begin()
            first_batch = self._position.begin(epoch, len(self), epoch_set)
            self._given = epoch, list(range(first_batch))
            self._storage.check()
            sizes = {output: size(epoch) for output, size in self._size_schedules.items()}
            if sizes != self._sizes or settings_of(self._pipelines, self._beton) != self._settings:
                self._sizes, self._settings = sizes, []
                self._executor = self._build_executor()
            self._executor.compile()
            while self._abandoned:
                self._scratches.append(self._abandoned.popleft().join())
            scratches = self._scratches.pop() if self._scratches else [Scratch() for _ in range(self.num_workers)]
            jobs = self.batch_jobs(self._executor, epoch, first_batch)
            return epoch, first_batch, Engine(self._executor, jobs, scratches, self.batches_ahead)

    def _begin_in_child(self) -> None:
        """Leave to the parent what its threads may have locked or were at work on when this process was forked."""
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._failures = copy.copy(self._failures)
        self._scratches, self._abandoned = [], deque()
        self._executor = self._build_executor()


def _made_again(kind: type[Loader], arguments: dict[str, Any]) -> Loader:
    return kind(**arguments)


class _Pass:
    """One pass over the batches of an epoch. Nothing happens before the first batch is asked for."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._epoch = self._batches = 0
        self._given: list[int] = []
        self._over = False

    def __iter__(self) -> "_Pass":
        return self

    def __next__(self) -> tuple[Any, ...]:
        if self._process != os.getpid():
            if self._engine is not None:
                raise LoaderError(
                    f"this pass over {self._loader._beton.path} was begun in another process, by which this one was "
                    "forked, and its threads are there: begin one here, with iter(loader)"
                )
            self._lock, self._process = threading.Lock(), os.getpid()
        with self._lock:
            return self._next()

    def _next(self) -> tuple[Any, ...]:
        if self._over:
            raise StopIteration
        loader = self._loader
        if self._engine is None:
            self._epoch, self._batches, self._engine = loader._start_pass()
            self._given = loader._given[1]
        try:
            batch = self._take(self._engine)
        except BaseException:
            self._end()
            raise
        loader._position.delivered(self._epoch, self._batches)
        if batch is None:
            self._end()
            if loader.sampler.epoch == self._epoch:
                loader.sampler.epoch = self._epoch + 1
            raise StopIteration
        return batch

    def _take(self, engine: Engine) -> tuple[Any, ...] | None:
        """The next batch with a sample in it; None after the last one."""
        skips = self._loader._on_error is OnError.SKIP
        while (job := engine.take()) is not None:
            place = self._batches
            self._batches += 1
            batch = engine.executor.outputs(job)
            if batch is None:
                place, batch = self._instead_of(place, engine.executor)
            if batch is not None:
                if skips:
                    self._given.append(place)
                return batch
        if skips and self._batches and not self._given:
            raise SampleError(f"{self._loader._beton.path}: every sample that was read is damaged; convert it again")
        return None

    def _instead_of(self, place: int, executor: Executor) -> tuple[int, tuple[Any, ...] | None]:
        """Which batch comes in the place of one that has no undamaged sample, and the batch; None if none does."""
        loader = self._loader
        what = f"{loader._beton.path}: every sample of batch {place} of epoch {self._epoch} is damaged"
        if not loader.drop_last:
            if loader.world_size > 1:
                raise SampleError(
                    f"{what}, and a rank that left it out would have fewer batches than the others: use on_error=zero, "
                    "drop_last=true, or indices without these samples"
                )
            log.warning("%s (left out: the pass is shorter)", what)
            return place, None
        for other in (*range(place - 1, -1, -1), *range(place + 1, len(loader))):
            job = next(jobs(loader._order, loader._split, self._epoch, other, None))
            batch = executor.outputs(executor.complete(job, Scratch()))
            if batch is not None:
                log.warning("%s (replaced by batch %d)", what, other)
                return other, batch
        raise SampleError(f"{what}, and so is every other one; convert it again")

    def _end(self) -> None:
        self._over = True
        engine, self._engine = self._engine, None
        if engine is not None:
            self._loader._scratches.append(engine.join())

    def __del__(self) -> None:
        if self._engine is not None and self._process == os.getpid():
            self._engine.stop()
            self._loader._abandoned.append(self._engine)

    def __reduce__(self) -> NoReturn:
        raise LoaderError("a pass cannot be copied or sent to another process: copy or send the loader, and iterate it")


@functools.cache
def _warn_of_whole_reads(rank: int, world_size: int) -> None:
    if rank == 0 and world_size > 1:
        warnings.warn(
            f"each of {world_size} ranks reads all samples: give the loader its rank and world_size, or let "
            "FFCVDataModule make it, without is_dist=False",
            stacklevel=3,
        )


@functools.cache
def _log_replaced_once(names: str) -> None:
    log.debug("ffcv_hydra's operations stand in for FFCV's %s (replace_ffcv_operations=false keeps FFCV's)", names)


def _log_replaced(names: frozenset[str]) -> None:
    if names:
        _log_replaced_once(", ".join(sorted(names)))


def _samples(output: Any) -> Iterable[Any]:
    """The samples of an output, each with all its views if it has some."""
    return zip(*output, strict=True) if isinstance(output, list) else output
