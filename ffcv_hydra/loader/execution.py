"""What a step does to a batch: memory, keys, the call itself, and errors that name field and sample."""

import copy
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from ffcv.pipeline.allocation_query import AllocationQuery

from ffcv_hydra.errors import FFCVHydraError, SampleError
from ffcv_hydra.kernels.random import fold
from ffcv_hydra.loader.buffers import BufferPool
from ffcv_hydra.loader.failures import FailedSamples, OnError
from ffcv_hydra.loader.modules import run_per_sample
from ffcv_hydra.loader.pages import PageCache
from ffcv_hydra.loader.plan import Kind, Node, Plan, Step, fields_read_by_ffcv, torch_dtype
from ffcv_hydra.loader.steps import chunk_size
from ffcv_hydra.loader.storage import Storage
from ffcv_hydra.operations import Chunk, ChunkDecoder, FailedSample, decode_shared
from ffcv_hydra.operations.base import Scratch


@dataclass(eq=False)
class Job:
    """One batch on its way.

    Attributes:
        samples: int64 (N,), ids.
        keys: uint64 (N,), one per sample, from (seed, epoch, id, occurrence).
        pages: that the pass keeps in memory, for orders by pages.
        values: what each node gave so far; a chunk node's memory as soon as its step may run.
        tasks: what may be run now, as (step, start, stop).
        unfinished: how many tasks of each step that has begun are not done.
        steps_left: how many steps threads still have to do.
        damaged: position and message of each sample whose stored data is damaged.
        error: what a task raised.
    """

    samples: np.ndarray
    keys: np.ndarray
    pages: PageCache | None = None
    values: dict[Node, Any] = field(default_factory=dict)
    tasks: deque[tuple[Step, int, int]] = field(default_factory=deque)
    unfinished: dict[Step, int] = field(default_factory=dict)
    steps_left: int = 0
    damaged: dict[int, str] = field(default_factory=dict)
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

    def __init__(
        self,
        plan: Plan,
        storage: Storage,
        pool: BufferPool,
        batch_size: int,
        num_workers: int,
        on_error: OnError,
        failures: FailedSamples,
    ) -> None:
        self.plan = plan
        self.storage = storage
        self.pool = pool
        self.on_error = on_error
        self.failures = failures
        self.batch_size = batch_size
        self.chunk_sizes = {step: chunk_size(step, batch_size, num_workers) for step in plan.steps}
        self._ffcv_fields = fields_read_by_ffcv(plan)
        self._thread_steps = [step for step in plan.steps if step.kind is not Kind.CONSUMER]
        self._consumer_steps = [step for step in plan.steps if step.kind is Kind.CONSUMER]

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
                with self._running(node, job, start, stop):
                    job.values[node] = self._run_batch(job, node)
            return
        nodes, targets = step.nodes, self._targets(job, step, start, stop, scratch)
        if step.parent is None and self._reads_file(nodes[0]):
            decoders = [node for node in nodes if node.parent is None]
            nodes = nodes[len(decoders) :]
            with self._running(decoders[0], job, start, stop):
                self._decode(job, decoders, [targets[node] for node in decoders], start, stop, scratch)
        for node in nodes:
            with self._running(node, job, start, stop):
                source: Any = None
                if node.parent is not None:
                    source = targets[node.parent] if node.parent in targets else job.values[node.parent][start:stop]
                chunk = self.chunk_of(node, job.samples[start:stop], job.keys[start:stop], scratch)
                node.operation.run(source, targets[node], chunk)  # type: ignore[operator]

    def _targets(self, job: Job, step: Step, start: int, stop: int, scratch: Scratch) -> dict[Node, np.ndarray]:
        """Where each node's result goes: into the batch's memory, or the thread's if only the next node reads it."""
        targets = {node: job.values[node][start:stop] for node in step.kept}
        buffer, after = 0, step.nodes[-1]
        for node in reversed(step.nodes):
            if node not in targets:
                if after.operation.in_place:
                    targets[node] = targets[after]
                else:
                    targets[node] = scratch.passed_on(buffer, (stop - start, *node.memory.shape), node.memory.dtype)
                    buffer = 1 - buffer
            after = node
        return targets

    @staticmethod
    def _reads_file(node: Node) -> bool:
        return isinstance(node.operation, ChunkDecoder) and node.operation.reads_file

    @contextmanager
    def _running(self, node: Node, job: Job, start: int, stop: int) -> Iterator[None]:
        """Around whatever a node does: turn what its operation raises into a `SampleError`."""
        try:
            yield
        except FailedSample as failure:  # of an operation that is no decoder
            raise SampleError(self._where(node, job.samples[start + failure.position]) + failure.reason) from None
        except FFCVHydraError:
            raise
        except Exception as error:
            what = f"{node.name}: {type(error).__name__}: {error}"
            raise SampleError(self._where(node, *job.samples[[start, stop - 1]]) + what) from error

    def outputs(self, job: Job) -> tuple[Any, ...]:
        """Do what is left to the consumer, and give the batch: one array or tensor (N, ...) per output.

        Raises:
            SampleError: all samples are damaged, and were to be skipped.
        """
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

    def _decode(
        self, job: Job, nodes: list[Node], targets: list[np.ndarray], start: int, stop: int, scratch: Scratch
    ) -> None:
        """Check and decode the chunk's stored bytes; goes on behind a sample that fails, if that is the policy."""
        samples, keys = job.samples[start:stop], job.keys[start:stop]
        decoders: list[Any] = [node.operation for node in nodes]
        chunks = [self.chunk_of(node, samples, keys, scratch) for node in nodes]
        stored = self.storage.extents(nodes[0].field, samples, scratch.file_for, job.pages)
        begin, count = 0, len(samples)
        while begin < count:
            damaged = stored.first_mismatch(begin)
            end = count if damaged is None else damaged
            failure = None if damaged is None else FailedSample(damaged, "the stored bytes differ from their checksum")
            try:
                if begin < end:
                    data, parts = stored.part(begin, end), [chunk.part(begin, end) for chunk in chunks]
                    if len(decoders) == 1:
                        decoders[0].run(data, targets[0][begin:end], parts[0])
                    else:
                        decode_shared(decoders, data, [target[begin:end] for target in targets], parts)
            except FailedSample as error:
                failure = FailedSample(begin + error.position, error.reason)
            if failure is None:
                return
            self._fail(job, nodes[0], start + failure.position, failure.reason)
            for decoder, target in zip(decoders, targets, strict=True):
                decoder.fill_with_zeros(target[failure.position])
            begin = failure.position + 1

    def _fail(self, job: Job, node: Node, position: int, reason: str) -> None:
        """Raise, or take note of a damaged sample."""
        sample = int(job.samples[position])
        message = self._where(node, sample) + reason
        if self.on_error is OnError.RAISE:
            raise SampleError(message)
        consequence = "skipped" if self.on_error is OnError.SKIP else "replaced by zeros"
        self.failures.add(sample, node.field, message, consequence)
        job.damaged[position] = message

    def _run_batch(self, job: Job, node: Node) -> Any:
        source = job.values[node.parent] if node.parent is not None else None
        if node.shares_source:  # FFCV's and users' operations may work in place
            source = copy.copy(source) if isinstance(source, np.ndarray) else source.clone()  # type: ignore[union-attr]
        if node.found is not None:
            keys = self._keys(node, job.keys)
            if keys is not None:
                return run_per_sample(node.operation, node.found, source, keys)  # type: ignore[arg-type]
            with torch.no_grad():
                return node.operation(source)
        assert node.code is not None
        decodes = node.parent is None
        state = self.storage.state(self._ffcv_fields, job.samples) if decodes else None
        damaged = self._damaged(job, node) if decodes else []
        memory, shared = (self._allocate(query, len(job.samples)) for query in (node.memory, node.shared))
        metadata = self.storage.beton.field_metadata(node.field)
        with torch.no_grad():
            result = node.code(source, memory, shared, job.samples, metadata, state)
        if damaged:
            result[damaged] = 0
        return result

    def _damaged(self, job: Job, node: Node) -> list[int]:
        """Positions whose stored bytes differ from their checksum, before FFCV's decoders, which do not look, run."""
        if not self.storage.reads(node.field):
            return []
        stored = self.storage.extents(node.field, job.samples, lambda size: np.empty(size, dtype=np.uint8))
        found: list[int] = []
        while (position := stored.first_mismatch(found[-1] + 1 if found else 0)) is not None:
            self._fail(job, node, position, "the stored bytes differ from their checksum")
            found.append(position)
        return found

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

    def chunk_of(self, node: Node, samples: np.ndarray, keys: np.ndarray, scratch: Scratch) -> Chunk:
        """What a node's operation is given.

        Args:
            node: a chunk operation's.
            samples: int64 (N,), ids.
            keys: uint64 (N,), the samples' keys.
            scratch: of the calling thread.
        """
        fused_keys = tuple(fold(keys, *part.stream) for part in node.fused[1:] if part.stream is not None)
        return Chunk(samples, self._keys(node, keys), scratch, fused_keys)

    def _keys(self, node: Node, keys: np.ndarray) -> np.ndarray | None:
        return None if node.stream is None else fold(keys, *node.stream)

    def _where(self, node: Node, first: int, last: int | None = None) -> str:
        samples = f"sample {first}" if last is None or last == first else f"samples {first} to {last} of a batch"
        return f"{self.storage.beton.path}: field '{node.field}', {samples}: "


def _select(value: Any, positions: np.ndarray) -> Any:
    """The rows of an output; of each of its parts or views, if it has several."""
    if isinstance(value, list):
        return [_select(view, positions) for view in value]
    if isinstance(value, tuple):
        return type(value)(*(_select(part, positions) for part in value))
    return value[torch.from_numpy(positions).to(value.device)] if isinstance(value, torch.Tensor) else value[positions]
