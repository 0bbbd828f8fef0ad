"""What the time of operations that run as one call is made of.

Nothing is timed within a call: more and more of its operations are run, on the same samples, and what one more of them
adds is its own. So it does not matter how operations that run together do so.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ffcv_hydra.bench.decoding import decoding_parts, label
from ffcv_hydra.bench.measuring import MeasuringExecutor, least
from ffcv_hydra.loader.engine.batch_job import BatchJob
from ffcv_hydra.loader.plan.links import links_of
from ffcv_hydra.loader.plan.node import Kind, Node, with_parents
from ffcv_hydra.loader.plan.step import Step
from ffcv_hydra.operations.base import Scratch

_SAMPLES = 64  # fewer would not show what is done to part of the images

Shares = Mapping[tuple[Node, ...], Mapping[str, float]]
"""By the nodes that run as one call: the shares of its time by part, which sum to 1; in the order of the plan."""


def shares_of(executor: MeasuringExecutor, upcoming: Iterable[BatchJob]) -> Shares:
    """Find out what each call is made of, in the calling thread. Views of an output are one part.

    Args:
        executor: of the loader.
        upcoming: its batches, not begun.
    """
    scratch, jobs, missing = Scratch(), [], _SAMPLES
    for job in upcoming:
        jobs.append(executor.complete(BatchJob(job.samples[:missing], job.keys[:missing]), scratch))
        missing -= len(job.samples)
        if missing <= 0:
            break
    found: dict[tuple[Node, ...], Mapping[str, float]] = {}
    for step in executor.plan.steps:
        if step.kind is Kind.CHUNK:
            found.update(_of_step(executor, jobs, step, scratch))
        else:
            found.update({(node,): {label(node): 1.0} for node in step.nodes})
    return found


def _of_step(executor: MeasuringExecutor, jobs: Sequence[BatchJob], step: Step, scratch: Scratch) -> Shares:
    added = _added(executor, jobs, step, scratch)
    samples, keys = (np.concatenate([getattr(job, name) for job in jobs]) for name in ("samples", "keys"))
    found: dict[tuple[Node, ...], Mapping[str, float]] = {}
    for link in step.links:
        parts: dict[str, float] = defaultdict(float)
        for node in link.nodes:
            parts[label(node)] += added[node]
        if link.reads_file:
            decoders = dict.fromkeys(label(node) for node in link.nodes if node.parent is None)
            seconds = sum(parts.pop(name) for name in decoders)
            parts = decoding_parts(executor.storage, link, samples, keys, seconds) | parts
        total = sum(parts.values())
        found[link.nodes] = {name: seconds / total if total else 1 / len(parts) for name, seconds in parts.items()}
    return found


def _added(executor: MeasuringExecutor, jobs: Sequence[BatchJob], step: Step, scratch: Scratch) -> Mapping[Node, float]:
    """Seconds that each node adds to those before it; of decoders, and of one place in views, the last adds all."""
    groups: defaultdict[tuple[str, int], list[Node]] = defaultdict(list)
    for node in step.nodes:
        groups[("", 0) if node.parent is None else (node.output, len(with_parents(node)))].append(node)
    prefixes, so_far = [], set()
    for group in groups.values():
        so_far |= {*group}
        prefix = Step(tuple(node for node in step.nodes if node in so_far), chunk_size=step.chunk_size)
        prefixes.append(replace(prefix, links=links_of(prefix, executor.storage.beton)))
    found = least([partial(executor.seconds_of, jobs, prefix, scratch) for prefix in prefixes])
    added, before = dict.fromkeys(step.nodes, 0.0), 0.0
    for group, seconds in zip(groups.values(), found, strict=True):
        added[group[-1]] = max(0.0, seconds - before)
        before = max(before, seconds)
    return added
