"""The first pass: what outputs a loader is asked for. Knows no operation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ffcv_hydra.beton import Beton
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.foreign import adapted
from ffcv_hydra.operations.operation import Operation
from ffcv_hydra.pipeline import DISABLED, FieldPipeline, Pipeline


@dataclass(frozen=True)
class Request:
    """One output.

    Attributes:
        output: its name.
        reads: the field, or an operation of another pipeline whose result is used.
        operations: what its data goes through; None for the field's default ones.
        joint_with: the output at the root of those that share geometric draws; its own name if it shares none.
        views: how many times the operations are drawn and applied; None: once, not as a list.
        stays: whether it shall not move as images do that it holds places in.
    """

    output: str
    reads: str | Operation
    operations: tuple[Any, ...] | None
    joint_with: str
    views: int | None
    stays: bool = False


def request(pipelines: Mapping[str, Pipeline] | Sequence[Pipeline], beton: Beton) -> tuple[Request, ...]:
    """From users' pipelines to requests, in the order that outputs are delivered in: that of the fields, then others.

    Before: lists, mappings and specs, by output name or in the order of the fields. After: every output is one
    request, which reads a field of the file or another pipeline's operation; partners are there, and in no circle.

    Args:
        pipelines: fields that are not named get their default pipeline.
        beton: the open file.

    Raises:
        PipelineError: for what is no pipeline, a field that is not there, or a partner that is not.
    """
    fields = list(beton.fields)
    if not isinstance(pipelines, Mapping):
        if len(pipelines) != len(fields):
            raise PipelineError(
                f"expected {len(fields)} pipelines, one for each field of {beton.path} ({', '.join(fields)}); "
                f"got {len(pipelines)}"
            )
        pipelines = dict(zip(fields, pipelines, strict=True))
    wanted = {name: pipelines.get(name) for name in fields}
    wanted.update({name: pipeline for name, pipeline in pipelines.items() if name not in wanted})
    found = {
        output: _normal(output, pipeline) for output, pipeline in wanted.items() if not _is_disabled(output, pipeline)
    }
    for output, one in found.items():
        if isinstance(one.reads, str) and one.reads in beton.left_out:
            raise PipelineError(
                f"pipeline for '{output}': {beton.left_out[one.reads]}, a member of the mixture, has no field"
                f" '{one.reads}'; give it a fill value, or say '{DISABLED}'"
            )
        if isinstance(one.reads, str) and one.reads not in fields:
            what = "has no such field" if one.reads == output else f"has no field '{one.reads}' for it to read"
            raise PipelineError(f"pipeline for '{output}': {beton.path} {what}; it has {', '.join(fields)}")
    if not found:
        raise PipelineError(f"{beton.path}: every field's pipeline is '{DISABLED}'; keep at least one")
    return tuple(
        Request(output, one.reads, one.operations, _root(output, found), one.views, one.stays)
        for output, one in found.items()
    )


@dataclass(frozen=True)
class _Normal:
    reads: str | Operation
    operations: tuple[Any, ...] | None
    joint_with: str | None = None
    views: int | None = None
    stays: bool = False


def _is_disabled(output: str, pipeline: Any) -> bool:
    if isinstance(pipeline, str) and pipeline != DISABLED:
        raise PipelineError(f"pipeline of '{output}': expected a list, null or '{DISABLED}'; got '{pipeline}'")
    return isinstance(pipeline, str)


def _normal(output: str, pipeline: Any) -> _Normal:
    pipeline = adapted(pipeline)
    if isinstance(pipeline, Mapping):
        known = [field.name for field in fields(FieldPipeline)]
        if unknown := [key for key in pipeline if key not in known]:
            raise PipelineError(f"pipeline of '{output}': no key {unknown[0]!r}; keys are {', '.join(known)}")
        pipeline = FieldPipeline(**pipeline)
    if isinstance(pipeline, FieldPipeline):
        if pipeline.views is not None and (not isinstance(pipeline.views, int) or pipeline.views < 1):
            raise PipelineError(f"pipeline of '{output}': views is a number from 1 on; got {pipeline.views!r}")
        operations = None if pipeline.operations is None else tuple(pipeline.operations)
        stays = pipeline.joint_with == DISABLED
        joint_with = None if stays else pipeline.joint_with
        return _Normal(pipeline.source or output, operations, joint_with, pipeline.views, stays)
    if pipeline is None:
        return _Normal(output, None)
    if isinstance(pipeline, Sequence):
        return _Normal(output, tuple(pipeline))
    given = type(pipeline).__name__
    raise PipelineError(f"pipeline of '{output}': expected a list of operations, or a mapping; got {given}")


def _root(output: str, outputs: Mapping[str, _Normal]) -> str:
    """The output at the end of a chain of `joint_with`."""
    seen = [output]
    while (partner := outputs[seen[-1]].joint_with) is not None:
        if partner not in outputs:
            raise PipelineError(
                f"pipeline of '{seen[-1]}': joint_with names '{partner}', which is no output; "
                f"outputs are {', '.join(outputs)}; '{DISABLED}' says that it shall not follow"
            )
        if partner in seen:
            raise PipelineError(f"pipeline of '{output}': joint_with runs in a circle: {' -> '.join([*seen, partner])}")
        seen.append(partner)
    if outputs[output].views != outputs[seen[-1]].views:
        raise PipelineError(
            f"pipeline of '{output}': it has {outputs[output].views or 'no'} views, but '{seen[-1]}', which it is "
            f"joint with, has {outputs[seen[-1]].views or 'none'}; give both the same number"
        )
    return seen[-1]
