"""The passes over a loader's batches: what they share, and one of them."""

import copy
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

from ffcv_hydra.collection.remote_shards import Ahead
from ffcv_hydra.errors import LoaderError, SampleError
from ffcv_hydra.loader.engine.batch_job import BatchJob, batch_jobs
from ffcv_hydra.loader.engine.buffers import BufferPool
from ffcv_hydra.loader.engine.epoch_order import EpochOrder
from ffcv_hydra.loader.engine.execution import Executor
from ffcv_hydra.loader.engine.failures import FailedSamples, OnError
from ffcv_hydra.loader.engine.storage import Storage
from ffcv_hydra.loader.engine.threads import Engine
from ffcv_hydra.loader.plan.mixing import check_groups
from ffcv_hydra.loader.plan.passes import make_plan
from ffcv_hydra.loader.plan.settings import settings_of
from ffcv_hydra.loader.position import Position
from ffcv_hydra.loader.sampler import Sampler
from ffcv_hydra.loader_options import LoaderOptions
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.ordering.ranks import RankBatches
from ffcv_hydra.pipeline import Pipeline
from ffcv_hydra.torch_internals import can_pin

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Passes:
    """What the passes over one loader's batches share.

    Attributes:
        storage: of the open file.
        order: of the samples.
        split: what this rank takes of it.
        sampler: has the epoch of the next pass.
        position: takes note of what was delivered.
        pipelines: what becomes of each field.
        options: of the loader, with a number of threads.
        world_size: number of ranks.
        failures: the damaged samples that were met.
        sizes: by output, the size that images are decoded to in an epoch.
        given: with on_error=skip, an epoch, and which of its batches came.
        scratches: of passes that have ended.
        abandoned: engines of passes that were collected, whose scratch is still in use.
        executor: of the pass that began last, and of the next one unless what it is made from changes.
        seconds_waited: by those who have asked for batches.
    """

    storage: Storage
    order: EpochOrder
    split: RankBatches
    sampler: Sampler
    position: Position
    pipelines: Mapping[str, Pipeline] | Sequence[Pipeline]
    options: LoaderOptions
    world_size: int
    failures: FailedSamples = field(default_factory=FailedSamples)
    sizes: MutableMapping[str, Callable[[int], Any]] = field(default_factory=dict)
    given: tuple[int, list[int]] = field(default_factory=lambda: (0, []))
    scratches: list[list[Scratch]] = field(default_factory=list)
    abandoned: deque[Engine] = field(default_factory=deque)
    seconds_waited: float = 0.0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.path = self.storage.beton.path
        self._process = os.getpid()
        self._build({})

    def _build(self, sizes: dict[str, Any]) -> None:
        self._sizes, self._settings = sizes, []  # to be built again if it fails
        settings = settings_of(self.pipelines, self.storage.beton)
        options = self.options
        plan = make_plan(self.pipelines, self.storage.beton, options, sizes)
        check_groups(plan, options, self.world_size)
        pool, on_error = BufferPool(pinned=can_pin()), OnError(options.on_error)
        self.executor = Executor(plan, self.storage, pool, options.batch_size, on_error, self.failures)
        self._settings = settings

    def set_size(self, output: str, size: Callable[[int], Any]) -> None:
        """Have images decoded to a size that depends on the epoch; raises `PipelineError` if there is none to set."""
        sizes = self._sizes | {output: size(self.sampler.epoch)}
        make_plan(self.pipelines, self.storage.beton, self.options, sizes)
        self.sizes[output] = size

    def batch_jobs(
        self, executor: Executor, epoch: int, first_batch: int, ahead: Ahead | None = None
    ) -> Iterator[BatchJob]:
        """The batches of an epoch from one on, to be done by `executor`; what each needs is told to `ahead`."""
        pages = executor.pages() if self.order.ordering.by_pages else None
        jobs = partial(batch_jobs, self.order, self.split, epoch, first_batch, pages)
        if ahead is None:
            yield from jobs()
            return
        for batch, job in enumerate(jobs(samples_at_once=1), first_batch):  # ids may take tables that come from a URL
            ahead.needs(batch, self.storage.numbers(job.samples))
            yield job

    def fetched_ahead(self, epoch: int, first_batch: int) -> Ahead | None:
        """What fetches the files of the batches of an epoch; None if none comes from a URL."""
        if not self.storage.remote:
            return None
        if not self.order.ordering.by_pages:  # to find out the pages of others would fetch what they are in
            self.storage.remote.tell_cost(self._files(epoch, first_batch), len(self.split))
        return self.storage.remote.ahead(self._files(epoch, first_batch), first_batch)

    def _files(self, epoch: int, first_batch: int) -> Iterator[list[int]]:
        for batch in range(first_batch, len(self.split)):
            yield self.storage.numbers(self.order.ids(epoch, self.split.batch(batch)))

    def begin(self) -> tuple[int, int, int, Engine]:
        """Begin a pass: its epoch, that of the trainer, its first batch, and the running engine."""
        self._leave_parent()
        with self.lock:
            epoch, epoch_set = self.sampler.begin()
            first_batch = self.position.begin(epoch, len(self.split), epoch_set)
            self.given = epoch, list(range(first_batch)) if self.options.on_error == "skip" else []
            self.storage.files.check_begun()
            self._prepare(epoch)
            while self.abandoned:
                self.scratches.append(self.abandoned.popleft().join())
            num_workers = self.options.num_workers
            scratches = self.scratches.pop() if self.scratches else [Scratch() for _ in range(num_workers)]
            ahead = self.fetched_ahead(epoch, first_batch)
            upcoming = self.batch_jobs(self.executor, epoch, first_batch, ahead)
            engine = Engine(self.executor, upcoming, scratches, self.options.batches_ahead, ahead)
            return epoch, epoch_set, first_batch, engine

    def elsewhere(self, epoch: int, split: RankBatches | None = None) -> "Passes":
        """For passes over an epoch, or over other batches of it, that move no others; what is made for them is kept."""
        self._leave_parent()
        with self.lock:
            self._prepare(epoch)
        other = copy.copy(self)
        other.sampler, other.position, other.split = Sampler(), Position({}), self.split if split is None else split
        other.sampler.set_epoch(epoch)
        return other

    def _prepare(self, epoch: int) -> None:
        sizes = {output: size(epoch) for output, size in self.sizes.items()}
        if sizes != self._sizes or settings_of(self.pipelines, self.storage.beton) != self._settings:
            self._build(sizes)
        self.executor.compile()

    def _leave_parent(self) -> None:
        """Leave to the parent what its threads may have locked or were at work on when this process was forked."""
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self.lock = threading.RLock()
        self.failures = copy.copy(self.failures)
        self.scratches, self.abandoned = [], deque()
        self._build(self._sizes)


class Pass:
    """One pass over the batches of an epoch. Nothing happens before the first batch is asked for."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._epoch = self._epoch_set = self._batches = 0
        self._given: list[int] = []
        self._over = False

    def __iter__(self) -> "Pass":
        return self

    def __next__(self) -> tuple[Any, ...]:
        if self._process != os.getpid():
            if self._engine is not None:
                raise LoaderError(
                    f"this pass over {self._passes.path} was begun in another process, by which this one was forked, "
                    "and its threads are there: begin one here, with iter(loader)"
                )
            self._lock, self._process = threading.Lock(), os.getpid()
        begun = time.perf_counter()
        try:
            with self._lock:
                return self._next()
        finally:
            self._passes.seconds_waited += time.perf_counter() - begun

    def _next(self) -> tuple[Any, ...]:
        if self._over:
            raise StopIteration
        passes = self._passes
        if self._engine is None:
            self._epoch, self._epoch_set, self._batches, self._engine = passes.begin()
            self._given = passes.given[1]
        before = self._batches
        if self._engine.ahead is not None:
            self._engine.ahead.done(before)
        try:
            batch = self._take(self._engine)
        except BaseException:
            self.end()
            raise
        if self._batches > before:  # that this pass is at its end says nothing of another one that goes on
            passes.position.delivered(self._epoch, self._batches, self._epoch_set)
        if batch is None:
            self.end()
            if passes.sampler.epoch == self._epoch:
                passes.sampler.epoch = self._epoch + 1
            raise StopIteration
        return batch

    def _take(self, engine: Engine) -> tuple[Any, ...] | None:
        """The next batch with a sample in it; None after the last one."""
        skips = self._passes.options.on_error == "skip"
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
            raise SampleError(f"{self._passes.path}: every sample that was read is damaged; convert it again")
        return None

    def _instead_of(self, place: int, executor: Executor) -> tuple[int, tuple[Any, ...] | None]:
        """Which batch comes in the place of one that has no undamaged sample, and the batch; None if none does."""
        passes = self._passes
        what = f"{passes.path}: every sample of batch {place} of epoch {self._epoch} is damaged"
        if not passes.options.drop_last:
            if passes.world_size > 1:
                raise SampleError(
                    f"{what}, and a rank that left it out would have fewer batches than the others: use on_error=zero, "
                    "drop_last=true, or indices without these samples"
                )
            log.warning("%s (left out: the pass is shorter)", what)
            return place, None
        for other in (*range(place - 1, -1, -1), *range(place + 1, len(passes.split))):
            job = next(batch_jobs(passes.order, passes.split, self._epoch, other, None))
            if self._engine is not None and self._engine.ahead is not None:
                self._engine.ahead.needs(place, passes.storage.numbers(job.samples))
            batch = executor.outputs(executor.complete(job, Scratch()))
            if batch is not None:
                log.warning("%s (replaced by batch %d)", what, other)
                return other, batch
        raise SampleError(f"{what}, and so is every other one; convert it again")

    def end(self) -> None:
        """End the pass, and wait for its threads."""
        self._over = True
        engine, self._engine = self._engine, None
        if engine is not None:
            self._passes.scratches.append(engine.join())

    def __del__(self) -> None:
        if self._engine is not None and self._process == os.getpid():
            self._engine.stop()
            self._passes.abandoned.append(self._engine)

    def __reduce__(self) -> NoReturn:
        raise LoaderError("a pass cannot be copied or sent to another process: copy or send the loader, and iterate it")
