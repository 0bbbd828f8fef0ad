"""An `Executor` that also takes the time of each operation, and of what threads do in between."""

import resource
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.engine.batch_job import BatchJob
from ffcv_hydra.loader.engine.execution import Executor
from ffcv_hydra.loader.plan.node import Kind, Node
from ffcv_hydra.loader.plan.step import Link, Step
from ffcv_hydra.operations.base import Scratch

Times = tuple[float, float, int]
_THIS_THREAD = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)  # Linux counts for each
_ROUNDS, _SECONDS = 4, 0.2


@dataclass
class Spent:
    """Seconds, summed over threads: by the clock, in which the thread did not run, and of these where it read."""

    wall: float = 0.0
    waiting: float = 0.0
    disk: float = 0.0

    @property
    def cpu(self) -> float:
        """Seconds in which the thread ran."""
        return self.wall - self.waiting

    def add(self, began: Times, ended: Times) -> None:
        """Add what lies between two times of a thread."""
        wall, cpu, reads = (after - before for before, after in zip(began, ended, strict=True))
        waiting = max(0.0, wall - cpu)
        self.wall += wall
        self.waiting += waiting
        self.disk += waiting if reads else 0.0


@dataclass
class Account:
    """What was measured.

    Attributes:
        samples: how many were delivered.
        spent: by the nodes that ran as one call.
        between: what the loader's threads spent between two such calls.
    """

    samples: int = 0
    spent: defaultdict[tuple[Node, ...], Spent] = field(default_factory=lambda: defaultdict(Spent))
    between: Spent = field(default_factory=Spent)


def measure(loader: Loader) -> "MeasuringExecutor":
    """Let the time of all that a loader does be taken from here on."""
    executor = loader.passes.executor = MeasuringExecutor(loader.passes.executor)
    return executor


class MeasuringExecutor(Executor):
    """Does what `executor` does, and keeps in `account` what it takes."""

    def __init__(self, executor: Executor) -> None:
        vars(self).update(vars(executor))
        self._lock, self._thread = threading.Lock(), threading.local()
        self.account = Account()

    def take_account(self) -> Account:
        """What was measured since this was last asked for."""
        with self._lock:
            account, self.account = self.account, Account()
        return account

    def outputs(self, job: BatchJob) -> tuple[Any, ...] | None:
        """Give the batch, and count its samples."""
        batch = super().outputs(job)
        self.account.samples += len(job.samples)
        return batch

    def seconds_of(self, jobs: Iterable[BatchJob], step: Step, scratch: Scratch) -> float:
        """Do a step to batches in the calling thread, and nothing that follows it; returns the processor's seconds."""
        self.take_account()
        for job in jobs:
            self._open(job, step)
            while job.tasks:
                self.run(job, *job.tasks.popleft(), scratch)
        return sum(spent.cpu for spent in self.take_account().spent.values())

    def _run_link(
        self, job: BatchJob, link: Link, targets: dict[Node, np.ndarray], start: int, stop: int, scratch: Scratch
    ) -> None:
        with self._measured(link.nodes):
            super()._run_link(job, link, targets, start, stop, scratch)

    def _result(self, job: BatchJob, node: Node) -> Any:
        with self._measured([node]):
            return super()._result(job, node)

    @contextmanager
    def _measured(self, nodes: Sequence[Node]) -> Iterator[None]:
        began = times()
        yield
        ended = times()
        with self._lock:
            self.account.spent[tuple(nodes)].add(began, ended)
            if nodes[0].kind is not Kind.CONSUMER:
                self.account.between.add(getattr(self._thread, "ended", began), began)
        self._thread.ended = ended


def least(actions: Sequence[Callable[[], float]]) -> list[float]:
    """The least of what each action gives, all of them called in turn: some times, and often if they are brief."""
    found: list[list[float]] = []
    began = time.perf_counter()
    while len(found) <= _ROUNDS or time.perf_counter() - began < _SECONDS:
        found.append([action() for action in actions])
    return np.min(found[1:], axis=0).tolist()  # for the first one, code is compiled and memory is made


def times() -> Times:
    """Seconds by the clock, of the processor in this thread, and how often it had to wait for data from the disk."""
    usage = resource.getrusage(_THIS_THREAD)
    return time.perf_counter(), time.thread_time(), usage.ru_inblock + usage.ru_majflt
