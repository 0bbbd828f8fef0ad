"""One batch on its way through the steps, and the batches of a pass."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ffcv_hydra.loader.engine.epoch_order import EpochOrder
from ffcv_hydra.loader.engine.pages import PageCache
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.step import Step
from ffcv_hydra.ordering.ranks import RankBatches

_SAMPLES_EXPECTED = 1 << 16  # for which pages are kept, and for as many after them; a page is not often read twice
_SAMPLES_AT_ONCE = 4096  # for which ids and keys are made by one call; of small images it counts for every batch


@dataclass(eq=False)
class BatchJob:
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
        on_gpu: what tells of the end of the work that threads have given to GPUs.
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
    on_gpu: list[torch.cuda.Event] = field(default_factory=list)

    @classmethod
    def failed(cls, error: BaseException) -> "BatchJob":
        """A batch that could not even be begun."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint64), error=error)

    @property
    def done(self) -> bool:
        """Whether the consumer may take it."""
        return self.error is not None or self.steps_left == 0


def batch_jobs(
    order: EpochOrder,
    split: RankBatches,
    epoch: int,
    first_batch: int,
    pages: PageCache | None,
    samples_at_once: int | None = None,
) -> Iterator[BatchJob]:
    """The batches of one rank from `first_batch` on, to be done.

    Args:
        order: of the samples.
        split: what the rank takes of it.
        epoch: whose order it is.
        first_batch: of the rank's batches.
        pages: that the pass keeps in memory.
        samples_at_once: of how many ids are found out together; those of one batch at least.
    """
    samples_at_once = samples_at_once or (_SAMPLES_AT_ONCE if pages is None else _SAMPLES_EXPECTED)
    at_once = max(1, samples_at_once // split.batch_size)
    waiting: list[tuple[np.ndarray, np.ndarray]] = []  # whose pages have to stay until those of the next are known
    for begin in range(first_batch, len(split), at_once):
        batches = [split.batch(index) for index in range(begin, min(begin + at_once, len(split)))]
        found = list(order.samples(epoch, batches))
        if pages is not None:
            pages.expect(np.concatenate([samples for samples, _ in found]))
            found, waiting = waiting, found
        for samples, keys in found:
            yield BatchJob(samples, keys, pages)
    for samples, keys in waiting:
        yield BatchJob(samples, keys, pages)
