"""Memory for what the steps make of a batch."""

import math
from typing import Any

import numpy as np

from ffcv_hydra.errors import SampleError
from ffcv_hydra.loader.engine.batch_job import BatchJob
from ffcv_hydra.loader.engine.buffers import BufferPool, allocator
from ffcv_hydra.loader.engine.decoding import Decoding
from ffcv_hydra.loader.plan.node import Node, with_parents
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.loader.plan.step import Form, Step
from ffcv_hydra.operations.dtypes import torch_dtype
from ffcv_hydra.torch_internals import is_of_memory


class BatchMemory:
    """Lends memory of a pool, as the nodes of a plan have declared it.

    Args:
        plan: whose nodes they are.
        pool: where the memory is from.
        batch_size: samples in a whole batch.
        decoding: which knows the names of samples, for errors.
    """

    def __init__(self, plan: Plan, pool: BufferPool, batch_size: int, decoding: Decoding) -> None:
        self.pool, self._batch_size, self._decoding = pool, batch_size, decoding
        self._allocators = {
            node: [allocator(query, pool, batch_size) for query in (node.memory, node.shared)] for node in plan.nodes
        }

    def of(self, node: Node, count: int) -> list[Any]:
        """What an operation on whole batches writes to, for `count` samples, and its shared memory."""
        return [allocate(count) for allocate in self._allocators[node]]

    def lend(self, job: BatchJob, step: Step) -> None:
        """Give a step on chunks the arrays that its results go to.

        Raises:
            SampleError: there is no memory left.
        """
        try:
            if step.form is not None:
                self._lend_formed(job, step, step.form)
            else:
                for node in step.kept:
                    job.values[node] = self._allocators[node][0](len(job.samples))
        except (MemoryError, RuntimeError) as error:
            if not is_of_memory(error):
                raise
            raise SampleError(self._too_large(step.kept[0])) from error

    def _lend_formed(self, job: BatchJob, step: Step, form: Form) -> None:
        """Memory for what a step makes, and the form that the step behind it gives it."""
        query = step.kept[0].memory
        shape, dtype = tuple(query.shape), torch_dtype(query.dtype)
        job.values[step.kept[0]], job.values[form.nodes[-1]] = self.pool.take_formed(
            len(job.samples), self._batch_size, shape, dtype, form
        )

    def _too_large(self, node: Node) -> str:
        """What to say where there is no memory for a batch: which sample makes it as large as it is, if one does."""
        shape = tuple(node.memory.shape)
        num_bytes = self._batch_size * math.prod(shape) * torch_dtype(node.memory.dtype).itemsize
        lacking = f"there is not enough memory for the {num_bytes:,} bytes of a batch, {self._batch_size} rows {shape}"
        parts = [part for one in with_parents(node) for part in one.fused or (one,)]
        sized = [part for part in parts if "size" in part.operation.arguments()]
        if sized:
            return f"pipeline of '{node.output}': {lacking}; take a smaller size in {sized[0].name}, or batch_size"
        extents = self._decoding.storage.beton.extents(node.field)
        where = self._decoding.where(node, 0 if extents is None else int(np.argmax(extents[1])))
        return (
            f"{where}{lacking}, and no sample is larger than this one; leave out what is so large, or "
            "take a smaller batch_size"
        )
