"""From a loader's pipelines and options to what runs them."""

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ffcv_hydra.beton import Beton
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.loader.engine.buffers import BufferPool
from ffcv_hydra.loader.engine.execution import Executor
from ffcv_hydra.loader.engine.failures import FailedSamples, OnError
from ffcv_hydra.loader.engine.storage import Storage
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.passes import make_plan
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.loader_options import LoaderOptions
from ffcv_hydra.pipeline import Pipeline

log = logging.getLogger(__name__)

Pipelines = Mapping[str, Pipeline] | Sequence[Pipeline]


def build_plan(pipelines: Pipelines, beton: Beton, options: LoaderOptions, sizes: Mapping[str, Any]) -> Plan:
    """The plan for pipelines, with output sizes in place of those that decoders were made with.

    Raises:
        PipelineError: a pipeline or a size does not fit the file.
    """
    return make_plan(
        pipelines,
        beton,
        batch_size=options.batch_size,
        num_workers=options.num_workers,
        batches_ahead=options.batches_ahead,
        replace=options.replace_ffcv_operations,
        sizes=sizes,
    )


def build_executor(
    pipelines: Pipelines,
    storage: Storage,
    options: LoaderOptions,
    world_size: int,
    sizes: Mapping[str, Any],
    failures: FailedSamples,
) -> Executor:
    """What runs the plan for pipelines.

    Raises:
        PipelineError: as `build_plan` does.
        LoaderError: the plan mixes samples, and the options would leave one alone.
    """
    plan = build_plan(pipelines, storage.beton, options, sizes)
    if plan.replaced:
        _log_replaced(", ".join(sorted(plan.replaced)))
    for node in plan.mixing:
        _check_mixing(node, options, world_size)
    return Executor(
        plan,
        storage,
        BufferPool(pinned=torch.cuda.is_available()),
        options.batch_size,
        OnError(options.on_error),
        failures,
    )


def _check_mixing(node: Node, options: LoaderOptions, world_size: int) -> None:
    """Refuse what would tear a pair apart, or mix a sample with one that is not there."""
    what = f"pipeline of '{node.output}': {node.name} mixes neighbours in the order"
    if options.batch_size % 2:
        raise LoaderError(f"{what}, so the batch size must be even; it is {options.batch_size}")
    if world_size > 1 and not options.drop_last:
        raise LoaderError(f"{what}, which several ranks keep together with drop_last=true only")
    if options.on_error == "skip":
        raise LoaderError(f"{what}, and the partner of a skipped sample has none; use on_error=raise or zero")


@functools.cache
def _log_replaced(names: str) -> None:
    log.debug("ffcv_hydra's operations stand in for FFCV's %s (replace_ffcv_operations=false keeps FFCV's)", names)
