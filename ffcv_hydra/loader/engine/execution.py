"""What a step does to a batch: memory, keys, the call itself, and errors that name field and sample."""

import copy
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import torch

from ffcv_hydra.errors import FFCVHydraError, LoaderError, SampleError, describe_error
from ffcv_hydra.kernels.compiling.together import compile_together
from ffcv_hydra.kernels.random.generator import fold, fold_kernel
from ffcv_hydra.loader.engine.batch_job import BatchJob
from ffcv_hydra.loader.engine.batch_memory import BatchMemory
from ffcv_hydra.loader.engine.buffers import BufferPool
from ffcv_hydra.loader.engine.chunks import chunk_of
from ffcv_hydra.loader.engine.decoding import Decoding
from ffcv_hydra.loader.engine.failures import FailedSamples, OnError
from ffcv_hydra.loader.engine.pages import PageCache
from ffcv_hydra.loader.engine.rows import rows_of
from ffcv_hydra.loader.engine.storage import Storage
from ffcv_hydra.loader.engine.streams import hand_over, working_on
from ffcv_hydra.loader.plan.node import Kind, Node
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.loader.plan.step import Link, Step
from ffcv_hydra.loader.plan.torch_module import TorchModule
from ffcv_hydra.operations import FailedSample, ToList
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.operations.image_chain import images_of


class Executor:
    """Runs steps; holds what all batches share and nothing of any one of them."""

    def __init__(
        self,
        plan: Plan,
        storage: Storage,
        pool: BufferPool,
        batch_size: int,
        on_error: OnError,
        failures: FailedSamples,
    ) -> None:
        self.plan = plan
        self.storage = storage
        self.on_error = on_error
        self._decoding = Decoding(storage, on_error, failures)
        self.memory = BatchMemory(plan, pool, batch_size, self._decoding)
        self._is_compiled = False
        decoders = [node for node in plan.nodes if node.parent is None]
        self._fields_by_pointer = sorted({node.field for node in decoders if node.code is not None})
        self._thread_steps = [step for step in plan.steps if step.kind is not Kind.CONSUMER]
        self._consumer_steps = [step for step in plan.steps if step.kind is Kind.CONSUMER]
        readers = plan.readers()
        readers.subtract(node.beside for node in plan.nodes if node.beside is not None)  # they read what nobody changes
        self._read_often = {node for node, times in readers.items() if times > 1}
        delivered = [leaf for end in plan.outputs.values() for leaf in ([end] if isinstance(end, Node) else end)]
        self._handed_over = {*delivered, *(step.nodes[0].parent for step in self._consumer_steps)}
        self._formed = {step.children[0] for step in plan.steps if step.form is not None}

    def compile(self) -> None:
        """Have what the first batch needs compiled, by several processes, unless it is on disk.

        Raises:
            LoaderError: the cache folder cannot be written.
        """
        if self._is_compiled:
            return
        links = [link for step in self.plan.steps for link in step.links]
        compile_together([*(kernel for link in links for kernel in link.kernels), fold_kernel])
        self._is_compiled = True

    def pages(self) -> PageCache | None:
        """Pages to be kept for a pass; None if the files are mapped."""
        links = [step.links[0] for step in self._thread_steps if step.is_first and step.kind is Kind.CHUNK]
        read = [field for link in links for field in (link.nodes[0].field, *link.looked_at)]
        return self.storage.pages_for([field for field in read if self.storage.reads(field)])

    def start(self, job: BatchJob) -> None:
        """Make the tasks that need nothing done before."""
        job.steps_left = len(self._thread_steps)
        for step in self._thread_steps:
            if step.is_first:
                self._open(job, step)

    def _open(self, job: BatchJob, step: Step) -> None:
        count = len(job.samples)
        size = step.chunk_size or count
        if step.kind is Kind.CHUNK:
            self.memory.lend(job, step)
        tasks = [(step, begin, min(begin + size, count)) for begin in range(0, count, size)]
        job.unfinished[step] = len(tasks)
        job.tasks.extend(tasks)

    def run(self, job: BatchJob, step: Step, start: int, stop: int, scratch: Scratch) -> list[Step]:
        """Run one task, with `scratch` of the calling thread, and what follows it if the task is a whole batch.

        Returns:
            The step, and those on whole batches that have been run after it: to be passed to `finish`.

        Raises:
            SampleError: naming the file, the field, the sample or samples, and the operation.
        """
        if step.kind is Kind.CHUNK:
            self._run_chunk(job, step, start, stop, scratch)
        elif step not in self._formed:
            with working_on(_devices(step), job.on_gpu):
                self._run_batch(job, step)
        done = [step]
        if stop - start == len(job.samples):
            for child in step.children:
                if child.kind is Kind.BATCH:
                    done += self.run(job, child, start, stop, scratch)
        return done

    def finish(self, job: BatchJob, done: list[Step]) -> None:
        """Take note of what `run` has done."""
        step = done[0]
        job.unfinished[step] -= 1
        if job.unfinished[step] > 0:
            return
        job.steps_left -= len(done)
        for step in done:
            for child in step.children:
                if child.kind is not Kind.CONSUMER and child not in done:
                    self._open(job, child)

    def _run_chunk(self, job: BatchJob, step: Step, start: int, stop: int, scratch: Scratch) -> None:
        targets = self._targets(job, step, start, stop, scratch)
        for link in step.links:
            try:
                self._run_link(job, link, targets, start, stop, scratch)
            except Exception as error:
                self._explain(error, link.nodes, job, start, stop)

    def _run_link(
        self, job: BatchJob, link: Link, targets: dict[Node, np.ndarray], start: int, stop: int, scratch: Scratch
    ) -> None:
        first, last = link.nodes[0], link.nodes[-1]
        if link.reads_file:
            decoded = [targets[branch.nodes[-1]] for branch in link.branches]
            self._decoding.run(job, link, decoded, start, stop, scratch)
            return
        keys, source = job.keys[start:stop], None
        if first.parent is not None:
            source = targets[first.parent] if first.parent in targets else job.values[first.parent][start:stop]
            source = np.ascontiguousarray(source)  # a user's operation may give a view
        branch = link.branches[0]
        if branch.functions is None:
            chunk = chunk_of(first, job.samples[start:stop], keys, scratch)
            first.operation.run(source, targets[first], chunk)  # type: ignore[attr-defined]
        else:
            assert source is not None
            branch.chain.run(images_of(source), np.arange(stop - start), keys, targets[last], scratch)

    def _run_batch(self, job: BatchJob, step: Step) -> None:
        for node in step.nodes:
            try:
                job.values[node] = self._result(job, node)
                _check_declared(node, job.values[node], len(job.samples))
            except Exception as error:
                self._explain(error, [node], job, 0, len(job.samples))

    def _explain(self, error: Exception, nodes: Sequence[Node], job: BatchJob, start: int, stop: int) -> NoReturn:
        """Raise what operations on samples `start` to `stop` of a batch have raised as a `SampleError`."""
        if isinstance(error, FFCVHydraError):
            raise error
        where, node = self._decoding.where, nodes[0]
        if isinstance(error, FailedSample):  # of an operation that is no decoder
            raise SampleError(where(node, job.samples[start + error.position]) + error.reason) from None
        what = f"{' + '.join(node.name for node in nodes)}: {describe_error(error)}"
        raise SampleError(where(node, *job.samples[start:stop].tolist()) + what) from error

    def _targets(self, job: BatchJob, step: Step, start: int, stop: int, scratch: Scratch) -> dict[Node, np.ndarray]:
        """Where each link's result goes: the batch's memory, or the thread's if only the next link reads it."""
        targets = {node: job.values[node][start:stop] for node in step.kept}
        buffer, after = 0, step.links[-1]
        for link in reversed(step.links):
            node = link.nodes[-1]  # only the first link may have several branches, and all of these are kept
            if node not in targets:
                if after.in_place:
                    targets[node] = targets[after.nodes[-1]]
                else:
                    targets[node] = scratch.passed_on(buffer, (stop - start, *node.memory.shape), node.memory.dtype)
                    buffer = 1 - buffer
            after = link
        return targets

    def outputs(self, job: BatchJob) -> tuple[Any, ...] | None:
        """Do what is left to the consumer, and give the batch: one array or tensor (N, ...) per output.

        None if all samples are damaged and were to be skipped.

        Raises:
            LoaderError: samples were to be skipped, and an output has none that can be left out.
        """
        skips = bool(job.damaged) and self.on_error is OnError.SKIP
        if skips and len(job.damaged) == len(job.samples):
            return None
        if job.on_gpu:
            hand_over(job.on_gpu, [value for node, value in job.values.items() if node in self._handed_over])
        if self._consumer_steps:
            with torch.no_grad():  # as the loader's threads always work
                for step in self._consumer_steps:
                    self._run_batch(job, step)
        kept = np.delete(np.arange(len(job.samples)), list(job.damaged)) if skips else None
        found: list[Any] = []
        for output, delivered in self.plan.outputs.items():
            try:
                parts = [_rows(job, node, kept) for node in self.plan.ends(output)]
            except TypeError as error:
                raise LoaderError(
                    f"on_error=skip cannot leave a damaged sample out of output '{output}', {error}: let its pipeline "
                    "give one row per sample, or use on_error=zero"
                ) from None
            found.append(parts[0] if isinstance(delivered, Node) else parts)
        return tuple(found)

    def complete(self, job: BatchJob, scratch: Scratch) -> BatchJob:
        """Do, in the calling thread, all that the loader's threads do to a batch."""
        self.start(job)
        while job.tasks:
            self.finish(job, self.run(job, *job.tasks.popleft(), scratch))
        return job

    def _result(self, job: BatchJob, node: Node) -> Any:
        """What a node gives for a whole batch."""
        source: Any = None if node.parent is None else job.values[node.parent]
        if node.parent in self._read_often:  # FFCV's and users' operations may work in place
            source = copy.copy(source) if isinstance(source, np.ndarray) else source.clone()
        if isinstance(node.operation, TorchModule) and node.stream is not None:
            return node.operation.run_per_sample(source, fold(job.keys, *node.stream))
        if node.beside is not None:
            return node.operation.apply_beside(source, job.values[node.beside])  # type: ignore[attr-defined]
        assert node.code is not None
        memory, shared = self.memory.of(node, len(job.samples))
        if node.parent is not None:
            return node.code(source, memory, shared, job.samples, None, None)
        state = self.storage.state(self._fields_by_pointer, job.samples)
        damaged = self._decoding.damaged(job, node)
        metadata = np.asarray(self.storage.beton.field_metadata(node.field))
        result = node.code(None, memory, shared, job.samples, metadata, state)
        if damaged:
            result[damaged] = 0
        return result


def _devices(step: Step) -> list[torch.device]:
    """Where what a step reads is, and what it makes."""
    nodes = [step.nodes[0].parent, *step.nodes]
    return [torch.device(node.state.device) for node in nodes if node is not None]


def _check_declared(node: Node, result: Any, count: int) -> None:
    """Refuse what an operation on whole batches gives and did not declare: kernels trust the declaration.

    Of an operation that gives several tensors the first one is what it declares; of one for each sample, none is.
    """
    if isinstance(result, list) and len(result) == count and all(isinstance(one, torch.Tensor) for one in result):
        return
    given = result[0] if isinstance(result, tuple) and result else result
    declared, shape = node.state.dtype, (count, *node.state.shape)
    if not isinstance(given, (np.ndarray, torch.Tensor)):
        raise TypeError(f"it declared {declared} {shape} and gave {type(given).__name__}")
    if tuple(given.shape) != shape or given.dtype != declared:
        raise TypeError(f"it declared {declared} {shape} and gave {given.dtype} {tuple(given.shape)}")


def _rows(job: BatchJob, node: Node, kept: np.ndarray | None) -> Any:
    """What a node gives of the samples at the positions `kept`; None: of all."""
    value = job.values[node]
    if kept is None:
        return value
    return [value[i] for i in kept] if isinstance(node.operation, ToList) else rows_of(value, kept, len(job.samples))
