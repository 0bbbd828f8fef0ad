"""What a step does to a batch: memory, keys, the call itself, and errors that name field and sample."""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import numpy as np
import torch
from ffcv.pipeline.allocation_query import AllocationQuery

from ffcv_hydra.errors import FFCVHydraError, SampleError
from ffcv_hydra.kernels.compile_together import compile_together
from ffcv_hydra.kernels.random import fold_kernel
from ffcv_hydra.loader.buffers import BufferPool
from ffcv_hydra.loader.chunks import chunk_of, keys_of
from ffcv_hydra.loader.decoding import Decoding
from ffcv_hydra.loader.failures import FailedSamples, OnError
from ffcv_hydra.loader.job import Job
from ffcv_hydra.loader.modules import run_per_sample
from ffcv_hydra.loader.pages import PageCache
from ffcv_hydra.loader.plan import Kind, Node, Plan, Step, fields_read_by_ffcv, torch_dtype
from ffcv_hydra.loader.segments import segments_of
from ffcv_hydra.loader.steps import chain_chunk_size, chunk_size
from ffcv_hydra.loader.storage import Storage
from ffcv_hydra.operations import FailedSample
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.operations.image_chain import POSITIONS, images_of


class _Errors(AbstractContextManager[None]):
    """Turns what operations on samples `start` to `stop` of a batch raise into a `SampleError`."""

    def __init__(
        self, where: Callable[..., str], nodes: Sequence[Node], samples: np.ndarray, start: int, stop: int
    ) -> None:
        self._where, self._nodes, self._samples, self._bounds = where, nodes, samples, (start, stop)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception) or (isinstance(error, FFCVHydraError)):
            return
        node, (start, stop) = self._nodes[0], self._bounds
        if isinstance(error, FailedSample):  # of an operation that is no decoder
            raise SampleError(self._where(node, self._samples[start + error.position]) + error.reason) from None
        what = f"{' + '.join(node.name for node in self._nodes)}: {type(error).__name__}: {error}"
        raise SampleError(self._where(node, *self._samples[[start, stop - 1]]) + what) from error


class Executor:
    """Runs steps; holds what all batches share and nothing of any one of them."""

    def __init__(
        self,
        plan: Plan,
        storage: Storage,
        pool: BufferPool,
        batch_size: int,
        num_workers: int,
        batches_ahead: int,
        on_error: OnError,
        failures: FailedSamples,
    ) -> None:
        self.plan = plan
        self.storage = storage
        self.pool = pool
        self.on_error = on_error
        self._decoding = Decoding(storage, on_error, failures)
        self.batch_size = batch_size
        self.segments = {step: segments_of(step, self._stored_sizes) for step in plan.steps if step.kind is Kind.CHUNK}
        self.chunk_sizes = {
            step: chain_chunk_size(step, batch_size, num_workers, batches_ahead)
            if len(segments) == 1 and segments[0].links is not None
            else chunk_size(step, batch_size, num_workers)
            for step, segments in self.segments.items()
        }
        self._ffcv_fields = fields_read_by_ffcv(plan)
        self._thread_steps = [step for step in plan.steps if step.kind is not Kind.CONSUMER]
        self._consumer_steps = [step for step in plan.steps if step.kind is Kind.CONSUMER]

    def compile(self) -> None:
        """Have what the first batch needs compiled, if it is the first one ever: by several processes, unlike threads.

        Raises:
            LoaderError: the cache folder cannot be written.
        """
        segments = [segment for segments in self.segments.values() for segment in segments]
        compile_together([*(kernel for segment in segments for kernel in segment.kernels), fold_kernel])

    def _stored_sizes(self, field: str) -> np.ndarray:
        extents = self.storage.beton.extents(field)
        assert extents is not None
        return extents[1]

    def pages_for(self, samples: np.ndarray) -> PageCache | None:
        """Pages to be kept for a pass over `samples`, int64 (N,)."""
        read = [step.nodes[0].field for step in self._thread_steps if step.parent is None and step.kind is Kind.CHUNK]
        return self.storage.pages_for([field for field in read if self.storage.reads(field)], samples)

    def start(self, job: Job) -> None:
        """Make the tasks that need nothing done before."""
        job.steps_left = len(self._thread_steps)
        for step in self._thread_steps:
            if step.parent is None:
                self._open(job, step)

    def _open(self, job: Job, step: Step) -> None:
        count = len(job.samples)
        size = self.chunk_sizes[step] if step.kind is Kind.CHUNK else count
        if step.kind is Kind.CHUNK:
            for node in step.kept:
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
        if scratch is None or step.kind is not Kind.CHUNK:
            for node in step.nodes:
                with self._running([node], job, start, stop):
                    job.values[node] = self._run_batch(job, node)
            return
        targets = self._targets(job, step, start, stop, scratch)
        for segment in self.segments[step]:
            first, last = segment.nodes[0], segment.nodes[-1]
            with self._running(segment.nodes, job, start, stop):
                if segment.reads_file:
                    decoded = [targets[node] for node in segment.nodes if node in targets]
                    self._decoding.run(job, segment, decoded, start, stop, scratch)
                    continue
                keys, source = job.keys[start:stop], None
                if first.parent is not None:
                    source = targets[first.parent] if first.parent in targets else job.values[first.parent][start:stop]
                if segment.links is None:
                    chunk = chunk_of(first, job.samples[start:stop], keys, scratch)
                    first.operation.run(source, targets[first], chunk)  # type: ignore[operator]
                else:
                    assert source is not None and first.parent is not None
                    _check_declared(first.parent, source)
                    places = POSITIONS.up_to(stop - start)
                    segment.chain.run(images_of(source), places, keys, targets[last], scratch)

    def _targets(self, job: Job, step: Step, start: int, stop: int, scratch: Scratch) -> dict[Node, np.ndarray]:
        """Where each segment's result goes: the batch's memory, or the thread's if only the next segment reads it."""
        targets = {node: job.values[node][start:stop] for node in step.kept}
        buffer, after = 0, self.segments[step][-1]
        for segment in reversed(self.segments[step]):
            node = segment.nodes[-1]
            if node not in targets:
                if after.in_place:
                    targets[node] = targets[after.nodes[-1]]
                else:
                    targets[node] = scratch.passed_on(buffer, (stop - start, *node.memory.shape), node.memory.dtype)
                    buffer = 1 - buffer
            after = segment
        return targets

    def _running(self, nodes: Sequence[Node], job: Job, start: int, stop: int) -> AbstractContextManager[None]:
        """Around whatever nodes do: turns what their operations raise into a `SampleError`."""
        return _Errors(self._decoding.where, nodes, job.samples, start, stop)

    def outputs(self, job: Job) -> tuple[Any, ...]:
        """Do what is left to the consumer, and give the batch: one array or tensor (N, ...) per output.

        Raises:
            SampleError: all samples are damaged, and were to be skipped.
        """
        if self._consumer_steps:
            with torch.no_grad():  # as the loader's threads always work
                for step in self._consumer_steps:
                    self.run(job, step, 0, len(job.samples), None)
        values = tuple(
            job.values[delivered] if isinstance(delivered, Node) else [job.values[view] for view in delivered]
            for delivered in self.plan.outputs.values()
        )
        if not job.damaged or self.on_error is not OnError.SKIP:
            return values
        if len(job.damaged) == len(job.samples):
            raise SampleError(f"{next(iter(job.damaged.values()))}; and so is every other sample of this batch")
        kept = np.delete(np.arange(len(job.samples)), list(job.damaged))
        return tuple(_select(value, kept) for value in values)

    def _run_batch(self, job: Job, node: Node) -> Any:
        source = job.values[node.parent] if node.parent is not None else None
        if node.shares_source:  # FFCV's and users' operations may work in place
            source = copy.copy(source) if isinstance(source, np.ndarray) else source.clone()  # type: ignore[union-attr]
        if node.found is not None:
            keys = keys_of(node, job.keys)
            if keys is not None:
                return run_per_sample(node.operation, node.found, source, keys)  # type: ignore[arg-type]
            return node.operation(source)
        assert node.code is not None
        count = len(job.samples)
        memory, shared = self._allocate(node.memory, count), self._allocate(node.shared, count)
        if node.parent is not None:
            return node.code(source, memory, shared, job.samples, None, None)
        state = self.storage.state(self._ffcv_fields, job.samples)
        damaged = self._decoding.damaged(job, node)
        result = node.code(None, memory, shared, job.samples, self.storage.beton.field_metadata(node.field), state)
        if damaged:
            result[damaged] = 0
        return result

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


def _check_declared(node: Node, result: np.ndarray) -> None:
    """Refuse what foreign code gives and did not declare: image functions trust the declaration."""
    shape, dtype = tuple(node.state.shape), np.dtype(node.state.dtype)
    if result.shape[1:] != shape or result.dtype != dtype:
        raise TypeError(f"{node.name} declared {dtype} {shape} and gave {result.dtype} {result.shape[1:]}")


def _select(value: Any, positions: np.ndarray) -> Any:
    """The rows of an output; of each of its parts or views, if it has several."""
    if isinstance(value, list):
        return [_select(view, positions) for view in value]
    if isinstance(value, tuple):
        return type(value)(*(_select(part, positions) for part in value))
    return value[torch.from_numpy(positions).to(value.device)] if isinstance(value, torch.Tensor) else value[positions]
