"""Measure the loader of a run's stage: as fast as it goes, with nothing that waits for the batches."""

import resource
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ffcv_hydra.bench.decoding import DecodingShares, decoders_of, decoding_shares, shrinkable_share
from ffcv_hydra.bench.measuring import MeasuringExecutor, measure
from ffcv_hydra.bench.report import Part, Report, machine
from ffcv_hydra.building.stage_loader import stage_loader
from ffcv_hydra.loader import Loader
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
    num_cores, memory_bytes = machine()
    parts, consumer_parts, disk = _parts(loader, executor, has_read)
    return Report(
        title=f"{config['dataset']['name']}, {stage}",
        num_samples=num_samples,
        seconds=elapsed,
        batch_size=loader.batch_size,
        num_workers=loader.num_workers,
        num_cores=num_cores,
        os_cache=executor.storage.is_mapped,
        file_bytes=sum(file.num_bytes for file in executor.storage.beton.files),
        memory_bytes=memory_bytes,
        parts=parts,
        consumer_parts=consumer_parts,
        disk=disk,
        shrinkable=_shrinkable(loader, executor),
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


def _shrinkable(loader: Loader, executor: MeasuringExecutor) -> float:
    """The largest share, of all image fields, of samples that `scaled_decoding` would decode at a fraction."""
    job = next(loader.passes.batch_jobs(executor, loader.sampler.epoch, 0))
    decoders = [found for nodes in executor.spent if (found := decoders_of(nodes))]
    return max((shrinkable_share(found, job.samples, job.keys) for found in decoders), default=0.0)


def _parts(loader: Loader, executor: MeasuringExecutor, has_read: bool) -> tuple[list[Part], list[Part], Part]:
    """What the loader's threads did, what the consumer did, and how long the threads waited for the disk.

    A thread that reads waits for the disk if anything was read; otherwise it waited for a core.
    """
    job = next(loader.passes.batch_jobs(executor, loader.sampler.epoch, 0))
    samples, keys = job.samples[:_SAMPLES_TO_SPLIT], job.keys[:_SAMPLES_TO_SPLIT]
    parts: list[Part] = []
    consumer_parts: list[Part] = []
    waiting = 0.0
    for nodes, spent in executor.spent.items():
        reads = nodes[0].parent is None and executor.storage.reads(nodes[0].field) and has_read
        waiting += spent.waiting if reads else 0.0
        seconds = spent.wall - (spent.waiting if reads else 0.0)
        decoders = decoders_of(nodes)
        shares = decoding_shares(executor, decoders, samples, keys) if decoders else None
        if shares is not None:
            parts += _split(decoders, shares, seconds)
        else:
            (consumer_parts if nodes[0].kind is Kind.CONSUMER else parts).append(Part(_label(nodes), seconds))
    return _merged(parts), _merged(consumer_parts), Part("waiting for the disk", waiting)


def _split(decoders: list[Node], shares: DecodingShares, seconds: float) -> list[Part]:
    field = decoders[0].field
    names = " | ".join(dict.fromkeys(_label([node]) for node in decoders))
    return [
        Part(f"{field}: comparing checksums", shares.checksum * seconds),
        Part(f"{field}: decoding", shares.decode * seconds),
        Part(f"resampling for {names}", shares.resample * seconds),
    ]


def _label(nodes: Sequence[Node]) -> str:
    return f"{nodes[0].output}: {' + '.join(node.name for node in nodes)}"


def _merged(parts: list[Part]) -> list[Part]:
    """One part for all views of an output."""
    seconds: dict[str, float] = {}
    for part in parts:
        seconds[part.name] = seconds.get(part.name, 0.0) + part.seconds
    return [Part(name, value) for name, value in seconds.items()]
