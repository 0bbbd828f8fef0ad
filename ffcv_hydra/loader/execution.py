"""What a step does to a batch: memory, keys, the call itself, and errors that name field and sample."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from ffcv.pipeline.allocation_query import AllocationQuery

from ffcv_hydra.errors import FFCVHydraError, SampleError
from ffcv_hydra.kernels.random import fold
from ffcv_hydra.loader.buffers import BufferPool
from ffcv_hydra.loader.modules import run_per_sample
from ffcv_hydra.loader.plan import Kind, Node, Plan, Step, fields_read_by_ffcv, torch_dtype
from ffcv_hydra.loader.storage import Storage
from ffcv_hydra.operations import Chunk, ChunkDecoder, FailedSample
from ffcv_hydra.operations.base import Scratch


@dataclass(eq=False)
class Job:
    """One batch on its way.

    Attributes:
        samples: int64 (N,), ids.
        keys: uint64 (N,), one per sample, from (seed, epoch, id, occurrence).
        values: what each node gave so far; a chunk node's memory as soon as its step may run.
        tasks: what may be run now, as (step, start, stop).
        unfinished: how many tasks of each step that has begun are not done.
        steps_left: how many steps threads still have to do.
        error: what a task raised.
    """

    samples: np.ndarray
    keys: np.ndarray
    values: dict[Node, Any] = field(default_factory=dict)
    tasks: deque[tuple[Step, int, int]] = field(default_factory=deque)
    unfinished: dict[Step, int] = field(default_factory=dict)
    steps_left: int = 0
    error: BaseException | None = None

    @classmethod
    def failed(cls, error: BaseException) -> "Job":
        """A batch that could not even be begun."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint64), error=error)

    @property
    def done(self) -> bool:
        """Whether the consumer may take it."""
        return self.error is not None or self.steps_left == 0


class Executor:
    """Runs steps; holds what all batches share and nothing of any one of them."""

    def __init__(self, plan: Plan, storage: Storage, pool: BufferPool, batch_size: int, num_workers: int) -> None:
        self.plan = plan
        self.storage = storage
        self.pool = pool
        self.batch_size = batch_size
        # two chunks a thread let the others go on when one of them is slow; fewer than 16 samples are not worth a call
        self.chunk_size = max(16, -(-batch_size // (2 * num_workers)))
        self._ffcv_fields = fields_read_by_ffcv(plan)
        self._thread_steps = [step for step in plan.steps if step.kind is not Kind.CONSUMER]
        self._consumer_steps = [step for step in plan.steps if step.kind is Kind.CONSUMER]

    def start(self, job: Job) -> None:
        """Make the tasks that need nothing done before."""
        job.steps_left = len(self._thread_steps)
        for step in self._thread_steps:
            if step.parent is None:
                self._open(job, step)

    def _open(self, job: Job, step: Step) -> None:
        count = len(job.samples)
        size = self.chunk_size if step.kind is Kind.CHUNK else count
        if step.kind is Kind.CHUNK:
            for node in step.nodes:
                job.values[node] = self._allocate(node.memory, count)
        tasks = [(step, begin, min(begin + size, count)) for begin in range(0, count, size)]
        job.unfinished[step] = len(tasks)
        job.tasks.extend(tasks)

    def finish(self, job: Job, step: Step) -> None:
        """Take note that one task of `step` is done."""
        job.unfinished[step] -= 1
        if job.unfinished[step] == 0:
            job.steps_left -= 1
            for child in step.children:
                if child.kind is not Kind.CONSUMER:
                    self._open(job, child)

    def run(self, job: Job, step: Step, start: int, stop: int, scratch: Scratch | None) -> None:
        """Run one task; `scratch` of the calling thread, which steps on whole batches do without.

        Raises:
            SampleError: naming the file, the field, the sample or samples, and the operation.
        """
        for node in step.nodes:
            try:
                if scratch is not None and step.kind is Kind.CHUNK:
                    self._run_chunk(job, node, start, stop, scratch)
                else:
                    job.values[node] = self._run_batch(job, node)
            except FailedSample as failure:
                raise SampleError(self._where(node, job.samples[start + failure.position]) + failure.reason) from None
            except FFCVHydraError:
                raise
            except Exception as error:
                what = f"{node.name}: {type(error).__name__}: {error}"
                raise SampleError(self._where(node, *job.samples[[start, stop - 1]]) + what) from error

    def outputs(self, job: Job) -> tuple[Any, ...]:
        """Do what is left to the consumer, and give the batch: one array or tensor (N, ...) per output."""
        for step in self._consumer_steps:
            self.run(job, step, 0, len(job.samples), None)
        return tuple(job.values[node] for node in self.plan.outputs.values())

    def _run_chunk(self, job: Job, node: Node, start: int, stop: int, scratch: Scratch) -> None:
        samples = job.samples[start:stop]
        chunk = Chunk(samples, self._keys(node, job.keys[start:stop]), scratch)
        source: Any = None
        if node.parent is not None:
            source = job.values[node.parent][start:stop]
        elif isinstance(node.operation, ChunkDecoder) and node.operation.reads_file:
            source = self.storage.extents(node.field, samples, scratch.file_for)
        node.operation.run(source, job.values[node][start:stop], chunk)  # type: ignore[operator]

    def _run_batch(self, job: Job, node: Node) -> Any:
        source = job.values[node.parent] if node.parent is not None else None
        if node.found is not None:
            keys = self._keys(node, job.keys)
            if keys is not None:
                return run_per_sample(node.operation, node.found, source, keys)  # type: ignore[arg-type]
            with torch.no_grad():
                return node.operation(source)
        assert node.code is not None
        decodes = node.parent is None
        state = self.storage.state(self._ffcv_fields, job.samples) if decodes else None
        memory, shared = (self._allocate(query, len(job.samples)) for query in (node.memory, node.shared))
        metadata = self.storage.beton.field_metadata(node.field)
        with torch.no_grad():
            return node.code(source, memory, shared, job.samples, metadata, state)

    def _allocate(self, query: Any, count: int) -> Any:
        if query is None:
            return None
        if not isinstance(query, AllocationQuery):
            return tuple(self._allocate(part, count) for part in query)
        dtype, shape = torch_dtype(query.dtype), tuple(int(side) for side in query.shape)
        if query.device is not None and torch.device(query.device).type != "cpu":
            return torch.empty((count, *shape), dtype=dtype, device=query.device)
        memory = self.pool.take(count, self.batch_size, shape, dtype)
        return memory if isinstance(query.dtype, torch.dtype) else memory.numpy()

    def _keys(self, node: Node, keys: np.ndarray) -> np.ndarray | None:
        return None if node.stream is None else fold(keys, *node.stream)

    def _where(self, node: Node, first: int, last: int | None = None) -> str:
        samples = f"sample {first}" if last is None or last == first else f"samples {first} to {last} of a batch"
        return f"{self.storage.beton.path}: field '{node.field}', {samples}: "
