"""Measure the loader of a run's stage: as fast as it goes, with nothing that waits for the batches."""

import os
import resource
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ffcv_hydra.bench.decoding import decoders_of, decoding_shares, shrinkable_share
from ffcv_hydra.bench.measuring import MeasuringExecutor, measure
from ffcv_hydra.bench.report import Report
from ffcv_hydra.building.stage_loader import stage_loader
from ffcv_hydra.cores import usable_cores
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.engine.batch_job import BatchJob
from ffcv_hydra.loader.plan.node import Kind, Node

_WARM_UP_BATCHES = 4
_SAMPLES_TO_SPLIT = 64


def bench(config: Mapping[str, Any], stage: str = "train", seconds: float = 10.0) -> Report:
    """Iterate over a stage's batches for some seconds.

    A beton that is missing is converted first. The first batches, for which kernels are compiled, do not count. What
    `pipeline.device` does to whole batches is left out.

    Args:
        config: the composed run config, resolved.
        stage: train, val, test or predict.
        seconds: how long, at least one batch.

    Raises:
        ConfigError: the dataset has no such split.
        FFCVHydraError: as training with this config would.
    """
    manager, loader = stage_loader(config, stage)
    executor = measure(loader)
    _iterate(loader, batches=_WARM_UP_BATCHES)
    executor.reset()
    reads = _reads()
    elapsed = _iterate(loader, seconds=seconds)
    num_samples, has_read = executor.samples, _reads() > reads
    job = next(loader.passes.batch_jobs(executor, loader.sampler.epoch, 0))
    parts, consumer_parts, disk = _parts(executor, job, has_read)
    return Report(
        title=f"{config['dataset']['name']}, {stage}",
        num_samples=num_samples,
        seconds=elapsed,
        batch_size=loader.batch_size,
        num_workers=loader.num_workers,
        num_cores=usable_cores(),
        os_cache=executor.storage.is_mapped,
        file_bytes=sum(file.num_bytes for file in executor.storage.beton.files),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        parts=parts,
        consumer_parts=consumer_parts,
        disk=disk,
        shrinkable=_shrinkable(executor, job),
    )


def _iterate(loader: Loader, seconds: float = float("inf"), batches: float = float("inf")) -> float:
    """Take batches, over as many epochs as it needs; returns how many seconds it took."""
    began = time.perf_counter()
    done = 0
    while True:
        for _ in loader:
            done += 1
            elapsed = time.perf_counter() - began
            if done >= batches or elapsed >= seconds:
                return elapsed


def _reads() -> int:
    """How often this process had to wait for data that was not in memory."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_inblock + usage.ru_majflt


def _shrinkable(executor: MeasuringExecutor, job: BatchJob) -> float:
    """The largest share, of all image fields, of samples that `scaled_decoding` would decode at a fraction."""
    decoders = [found for nodes in executor.spent if (found := decoders_of(nodes))]
    return max((shrinkable_share(found, job.samples, job.keys) for found in decoders), default=0.0)


def _parts(
    executor: MeasuringExecutor, job: BatchJob, has_read: bool
) -> tuple[Mapping[str, float], Mapping[str, float], float]:
    """What the loader's threads did, what the consumer did, and how long the threads waited for the disk.

    A thread that reads waits for the disk if anything was read; otherwise it waited for a core. Views of an output are
    one part.
    """
    parts: defaultdict[str, float] = defaultdict(float)
    consumer_parts: defaultdict[str, float] = defaultdict(float)
    waiting = 0.0
    for nodes, spent in executor.spent.items():
        reads = has_read and nodes[0].parent is None and executor.storage.reads(nodes[0].field)
        waiting += spent.waiting if reads else 0.0
        seconds = spent.wall - (spent.waiting if reads else 0.0)
        for name, share in _shares(executor, job, nodes).items():
            (consumer_parts if nodes[0].kind is Kind.CONSUMER else parts)[name] += share * seconds
    return parts, consumer_parts, waiting


def _shares(executor: MeasuringExecutor, job: BatchJob, nodes: Sequence[Node]) -> dict[str, float]:
    """What the time of nodes that run as one call is made of."""
    decoders = decoders_of(nodes)
    samples, keys = job.samples[:_SAMPLES_TO_SPLIT], job.keys[:_SAMPLES_TO_SPLIT]
    shares = decoding_shares(executor, decoders, samples, keys) if decoders else None
    if shares is None:
        return {_label(nodes): 1.0}
    field = decoders[0].field
    names = " | ".join(dict.fromkeys(_label([node]) for node in decoders))
    parts = f"{field}: comparing checksums", f"{field}: decoding", f"resampling for {names}"
    return dict(zip(parts, shares, strict=True))


def _label(nodes: Sequence[Node]) -> str:
    return f"{nodes[0].output}: {' + '.join(node.name for node in nodes)}"
