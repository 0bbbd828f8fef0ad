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
from ffcv_hydra.loader_options import LoaderOptions
from ffcv_hydra.pipeline import Pipeline


def make_plan(
    pipelines: Mapping[str, Pipeline] | Sequence[Pipeline],
    beton: Beton,
    options: LoaderOptions,
    sizes: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan of one loader; making it twice gives one that does the same to every batch, of nodes of its own.

    Args:
        pipelines: by output name or in the order of the file's fields; fields that are not named get their default one.
        beton: the open file.
        options: of the loader, with a number of threads.
        sizes: output sizes, by output, in place of those that the decoders were made with; also for joint outputs.

    Raises:
        PipelineError: naming the output and the operation that do not fit, and what to change.
    """
    requests = request(pipelines, beton)
    chains = resolve(requests, beton, options.replace_ffcv_operations, sizes or {})
    plan = declare(requests, chains, beton, usable_threads(options.num_workers))
    plan = join(plan, beton)
    plan = fuse(plan)
    return schedule(plan, beton, options.batch_size, options.num_workers, options.batches_ahead)
