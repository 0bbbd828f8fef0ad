"""An `Executor` that also takes the time of each operation."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.engine.batch_job import BatchJob
from ffcv_hydra.loader.engine.execution import Executor
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.step import Link
from ffcv_hydra.operations.base import Scratch


@dataclass
class Spent:
    """Seconds, summed over threads: by the clock, and of the processor."""

    wall: float = 0.0
    cpu: float = 0.0

    @property
    def waiting(self) -> float:
        """Seconds in which the thread did not run."""
        return max(0.0, self.wall - self.cpu)


def measure(loader: Loader) -> "MeasuringExecutor":
    """Let the time of all that a loader does be taken from here on."""
    executor = loader.passes.executor = MeasuringExecutor(loader.passes.executor)
    return executor


class MeasuringExecutor(Executor):
    """Does what `executor` does, and keeps what its nodes take.

    Attributes:
        samples: how many were delivered.
        spent: by the nodes that ran as one call.
    """

    def __init__(self, executor: Executor) -> None:
        vars(self).update(vars(executor))
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget what was measured."""
        self.samples = 0
        self.spent: defaultdict[tuple[Node, ...], Spent] = defaultdict(Spent)

    def outputs(self, job: BatchJob) -> tuple[Any, ...] | None:
        """Give the batch, and count its samples."""
        batch = super().outputs(job)
        self.samples += len(job.samples)
        return batch

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
        wall, cpu = time.perf_counter(), time.thread_time()
        yield
        wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
        with self._lock:
            spent = self.spent[tuple(nodes)]
            spent.wall += wall
            spent.cpu += cpu
