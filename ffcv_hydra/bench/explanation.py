"""What the loaders of a run's stages do to every batch, in words, and what each part of it takes."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch

from ffcv_hydra.bench.measuring import measure
from ffcv_hydra.building.stage_loader import stage_loader
from ffcv_hydra.loader import Loader
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.text import Times
from ffcv_hydra.operations.base import Scratch
from ffcv_hydra.stages import STAGES

_BATCHES = 8


def explain(config: Mapping[str, Any], stage: str | None = None) -> Iterator[str]:
    """What is done in each stage, a text for each; some batches are read, nothing is trained.

    A beton that is missing is converted first. What `pipeline.device` does to whole batches is left out.

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
        yield f"{title}\n{loader.plan.in_words(_times(loader))}"


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
                executor.reset()
                executor.outputs(executor.complete(job, scratch))
                for nodes, spent in executor.spent.items():
                    times[nodes] = min(times.get(nodes, float("inf")), spent.wall / executor.samples)
    finally:
        torch.set_num_threads(num_threads)
    return times
