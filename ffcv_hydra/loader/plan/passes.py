"""From pipelines to a plan: the passes in their order. Users' lists and operations are copied, never changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from ffcv_hydra.beton import Beton
from ffcv_hydra.loader.plan.batch_code import usable_threads
from ffcv_hydra.loader.plan.declare import declare
from ffcv_hydra.loader.plan.fuse import fuse
from ffcv_hydra.loader.plan.join import join
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.loader.plan.request import request
from ffcv_hydra.loader.plan.resolve import resolve
from ffcv_hydra.loader.plan.schedule import schedule
from ffcv_hydra.pipeline import Pipeline


def make_plan(
    pipelines: Mapping[str, Pipeline] | Sequence[Pipeline],
    beton: Beton,
    *,
    batch_size: int,
    num_workers: int,
    batches_ahead: int,
    replace: bool = True,
    sizes: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan of one loader; making it twice gives the same.

    Args:
        pipelines: by output name or in the order of the file's fields; fields that are not named get their default one.
        beton: the open file.
        batch_size: samples per batch.
        num_workers: threads.
        batches_ahead: how many batches are made at the same time.
        replace: put the project's operations for FFCV's, where they mean the same.
        sizes: output sizes, by output, in place of those that the decoders were made with; also for joint outputs.

    Raises:
        PipelineError: naming the output and the operation that do not fit, and what to change.
    """
    requests = request(pipelines, beton)
    chains = resolve(requests, beton, replace, sizes or {})
    plan = declare(requests, chains, beton, usable_threads(num_workers))
    plan = join(plan, beton)
    plan = fuse(plan)
    return schedule(plan, beton, batch_size, num_workers, batches_ahead)
