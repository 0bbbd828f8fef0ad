"""What the loaders of a run's stages do to every batch, in words, and what each part of it takes."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch

from ffcv_hydra.bench.measuring import measure
from ffcv_hydra.building.data import of_stage
from ffcv_hydra.building.stage_loader import stage_loader
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.text import Times
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.stages import STAGES

_BATCHES = 8


def explain(config: Mapping[str, Any], stage: str | None = None) -> Iterator[str]:
    """What is done in each stage, a text for each; some batches are read, nothing is trained.

    A beton that is missing is converted first. What `pipeline.device` does in the trainer is named, and not measured.

    Args:
        config: the composed run config, resolved.
        stage: train, val, test or predict; None for all that the dataset has.

    Raises:
        ConfigError: the dataset has no such split.
        FFCVHydraError: as training with this config would.
    """
    splits = config["dataset"]["splits"]
    for name in [name for name in STAGES if splits.get(name) is not None] if stage is None else [stage]:
        _, loader = stage_loader(config, name)
        threads = f"{loader.num_workers} thread{'s'[: loader.num_workers != 1]}"
        title = f"{config['dataset']['name']}, {name}: batches of {loader.batch_size}, {threads}"
        yield "\n".join([title, loader.plan.in_words(_times(loader)), *_on_device(config, name)])


def _on_device(config: Mapping[str, Any], stage: str) -> Iterator[str]:
    """What the trainer does to a stage's batches on the device: a line for each list of modules."""
    _, modules = of_stage((config.get("pipeline") or {}).get("device") or {}, stage)
    lists = modules if isinstance(modules, Mapping) else {"the whole batch": modules or []}
    for output, nodes in lists.items():
        names = ", ".join(node["_target_"].rpartition(".")[2] for node in nodes)
        yield from [f"{output}, in the trainer, once it is on the device: {names}"] if names else []


def _times(loader: Loader) -> Times:
    """Seconds per sample, in one thread: the shortest of some batches."""
    executor = measure(loader)
    executor.compile()
    scratch = Scratch()
    times: dict[tuple[Node, ...], float] = {}
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for count in (1, _BATCHES):  # for the first one, code and memory are made
            times.clear()
            for job in islice(loader.passes.batch_jobs(executor, loader.sampler.epoch, 0), count):
                executor.outputs(executor.complete(job, scratch))
                account = executor.take_account()
                for nodes, spent in account.spent.items():
                    times[nodes] = min(times.get(nodes, float("inf")), spent.wall / account.samples)
    finally:
        torch.set_num_threads(num_threads)
    return times
