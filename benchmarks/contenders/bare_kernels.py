"""This project's kernels without its loader: two plain threads that decode and augment, and hand over nothing.

The operations are those that the loader itself would run, fused where it fuses them, on chunks of 16 images, without
checksums, order, buffers or batches. Each thread writes over one chunk of memory again and again.
"""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from benchmarks.contenders import ours
from benchmarks.work import Epochs, Work
from ffcv_hydra.loader.engine.chunks import chunk_of
from ffcv_hydra.loader.plan.plan import Kind, Node
from ffcv_hydra.operations.base import Scratch

PACKAGES = ours.PACKAGES
CHUNK_SIZE = 16


def batches(work: Work) -> Epochs:
    """Epochs of one batch each, as long as a loader's epoch."""
    loader = ours.loader(ours.beton(work), work)
    executor, storage = loader.passes.executor, loader.passes.storage
    nodes = [node for step in executor.plan.steps for node in step.nodes if node.kind is Kind.CHUNK]
    threads = ThreadPoolExecutor(work.workers)
    scratches = [Scratch() for _ in range(work.workers)]

    def epoch() -> Iterator[torch.Tensor]:
        count = work.count - work.count % work.batch_size
        order = np.random.default_rng().permutation(work.count)[:count]
        keys = np.random.default_rng().integers(2**63, size=count, dtype=np.uint64)
        begins = itertools.count(0, CHUNK_SIZE)  # `next` of it holds the GIL, so no chunk is taken twice

        def run(scratch: Scratch) -> None:
            targets = {node: _target(node) for node in nodes}
            while (begin := next(begins)) < count:
                part = slice(begin, begin + CHUNK_SIZE)
                source = storage.extents("image", order[part], scratch.file_for, None)
                for node in nodes:
                    target = targets[node][: len(order[part])]
                    node.operation.run(source, target, chunk_of(node, order[part], keys[part], scratch))
                    source = target

        list(threads.map(run, scratches))
        yield torch.empty((1, 3, work.size, work.size), dtype=torch.uint8).expand(count, -1, -1, -1)

    return Epochs(epoch)


def _target(node: Node) -> np.ndarray:
    return np.empty((CHUNK_SIZE, *node.memory.shape), dtype=node.memory.dtype)
