"""Measure the loader of a run's stage: as fast as it goes, with nothing that waits for the batches."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from ffcv_hydra.bench.decoding import label, shrinkable_share
from ffcv_hydra.bench.facts import facts_of
from ffcv_hydra.bench.measuring import Account, MeasuringExecutor, Spent, measure, times
from ffcv_hydra.bench.report import CORE, DISK, ENDS, IDLE, LOADER, TAKING, WAITING, Report, Round
from ffcv_hydra.bench.splitting import Shares, shares_of
from ffcv_hydra.building.stage_loader import stage_loader
from ffcv_hydra.cores import usable_cores
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.engine.batch_job import BatchJob
from ffcv_hydra.loader.plan.node import Kind

_WARM_UP_BATCHES = 4
_ROUNDS = 10


def bench(config: Mapping[str, Any], stage: str = "train", seconds: float = 10.0) -> Report:
    """Iterate over a stage's batches for some seconds.

    A beton that is missing is converted first. The first batches, for which kernels are compiled, do not count. What
    `pipeline.device` does to whole batches is left out.

    Args:
        config: the composed run config, resolved.
        stage: train, val, test or predict.
        seconds: how long, at least one batch. To tell operations apart that run as one call takes about as long again.

    Raises:
        ConfigError: the dataset has no such split.
        FFCVHydraError: as training with this config would.
    """
    _, loader = stage_loader(config, stage)
    executor = measure(loader)
    batches = _batches(loader)
    for _ in islice(batches, _WARM_UP_BATCHES):
        pass
    measured = list(_measured(executor, batches, seconds))
    del batches  # its threads end
    shares = shares_of(executor, loader.passes.batch_jobs(executor, loader.sampler.epoch, 0))
    return Report(
        title=f"{config['dataset']['name']}, {stage}",
        rounds=tuple(_round(shares, loader.num_workers, *one) for one in measured),
        batch_size=loader.batch_size,
        num_workers=loader.num_workers,
        num_cores=usable_cores(),
        facts=facts_of(config, stage, loader),
        shrinkable=_shrinkable(executor, next(loader.passes.batch_jobs(executor, loader.sampler.epoch, 0))),
        alone=tuple(label(node) for node in executor.plan.nodes if node.kind is Kind.BATCH and node.state.jit_mode),
    )


def _batches(loader: Loader) -> Iterator[object]:
    while True:
        yield from loader


def _measured(
    executor: MeasuringExecutor, batches: Iterator[object], seconds: float
) -> Iterator[tuple[Account, Spent]]:
    """Rounds: what was measured, and what the consumer spent."""
    executor.take_account()
    start = began = times()
    done = 0
    for _ in batches:
        now = times()
        if now[0] - start[0] < (done + 1) * seconds / _ROUNDS:
            continue
        consumer = Spent()
        consumer.add(began, now)
        yield executor.take_account(), consumer
        began = now
        done = int((now[0] - start[0]) / seconds * _ROUNDS)  # a batch may take longer than a round
        if done >= _ROUNDS:
            return


def _shrinkable(executor: MeasuringExecutor, job: BatchJob) -> float:
    """The largest share, of all image fields, of samples that `scaled_decoding` would decode at a fraction."""
    decoders = [[node for node in step.nodes if node.parent is None] for step in executor.plan.steps]
    storage = executor.storage
    return max((shrinkable_share(storage, found, job.samples, job.keys) for found in decoders if found), default=0.0)


def _round(shares: Shares, num_workers: int, account: Account, consumer: Spent) -> Round:
    """What the loader's threads and the consumer did.

    A thread that had to read in a call waited for the disk; otherwise it waited for a core.
    """
    threads: defaultdict[str, float] = defaultdict(float)
    taken: defaultdict[str, float] = defaultdict(float)
    waiting = dict.fromkeys((DISK, CORE), 0.0)
    for nodes, parts in shares.items():
        spent = account.spent.get(nodes, Spent())
        in_consumer = nodes[0].kind is Kind.CONSUMER
        if not in_consumer:
            waiting[DISK] += spent.disk
            waiting[CORE] += spent.waiting - spent.disk
        for name, share in parts.items() if nodes in account.spent else ():
            (taken if in_consumer else threads)[name] += share * spent.cpu
    between = account.between
    threads |= {LOADER: between.cpu, **waiting, IDLE: between.waiting}
    threads[ENDS] = max(0.0, num_workers * consumer.wall - sum(threads.values()))
    taken[TAKING] = max(0.0, consumer.cpu - sum(taken.values()))
    taken[WAITING] = max(0.0, consumer.wall - sum(taken.values()))
    return Round(account.samples, consumer.wall, dict(threads), dict(taken))
