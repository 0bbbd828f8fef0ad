"""The first pass: what outputs a loader is asked for. Knows no operation."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from ffcv_hydra.beton import Beton
from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.beton.fields.image_fields import is_image
from ffcv_hydra.beton.fields.places import PlacesField
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
        follows: the output of boxes whose items its own ones go with; None if it follows none.
    """

    output: str
    reads: str | Operation
    operations: tuple[Any, ...] | None
    joint_with: str
    views: int | None
    stays: bool = False
    follows: str | None = None


@contextmanager
def naming(output: str) -> Iterator[None]:
    """Say in a `PipelineError` whose pipeline it is about."""
    try:
        yield
    except PipelineError as error:
        raise PipelineError(f"pipeline of '{output}': {error}") from error


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
    found = {output: _normal(output, pipeline) for output, pipeline in wanted.items() if pipeline != DISABLED}
    found = {output: _with_image(output, one, found, beton) for output, one in found.items()}
    found = {output: _with_boxes(output, one, found, beton) for output, one in found.items()}
    if not found:
        raise PipelineError(f"{beton.path}: every field's pipeline is '{DISABLED}'; keep at least one")
    requests = []
    for output, one in found.items():
        reads = one.source or output
        if isinstance(reads, str) and reads in beton.left_out:
            raise PipelineError(
                f"pipeline for '{output}': {beton.left_out[reads]}, a member of the mixture, has no field"
                f" '{reads}'; give it a fill value, or say '{DISABLED}'"
            )
        if isinstance(reads, str) and reads not in fields:
            what = "has no such field" if reads == output else f"has no field '{reads}' for it to read"
            raise PipelineError(f"pipeline for '{output}': {beton.path} {what}; it has {', '.join(fields)}")
        operations = None if one.operations is None else tuple(one.operations)
        root, stays = _root(output, found), one.joint_with == DISABLED
        follows = None if stays else _boxes_of(output, found, beton)
        requests.append(Request(output, reads, operations, root, one.views, stays, follows))
    return tuple(requests)


def _stored(output: str, pipeline: FieldPipeline, beton: Beton) -> Field | None:
    """The field that an output reads, if it reads one."""
    reads = pipeline.source or output
    return beton.fields.get(reads) if isinstance(reads, str) else None


def _boxes_of(output: str, outputs: Mapping[str, FieldPipeline], beton: Beton) -> str | None:
    """The output of the boxes that an output's items go with: the one it is joint with, or of the field's name."""
    follows = getattr(_stored(output, outputs[output], beton), "follows", None)
    if follows is None:
        return None
    for other in (outputs[output].joint_with, follows):
        if other is not None and other in outputs and (outputs[other].source or other) == follows:
            return other
    return None


def _with_image(
    output: str, pipeline: FieldPipeline, outputs: Mapping[str, FieldPipeline], beton: Beton
) -> FieldPipeline:
    """Places that say nothing belong to the images of the batch, if all of these belong together."""
    is_of_boxes = _boxes_of(output, outputs, beton) is not None
    if is_of_boxes or pipeline.joint_with is not None or not isinstance(_stored(output, pipeline, beton), PlacesField):
        return pipeline
    fields = {other: _stored(other, one, beton) for other, one in outputs.items()}
    images = [other for other, field in fields.items() if field and is_image(field) and not field.holds_places]
    roots = {_root(image, outputs) for image in images}
    return _joint(pipeline, roots.pop(), outputs) if len(roots) == 1 else pipeline


def _with_boxes(
    output: str, pipeline: FieldPipeline, outputs: Mapping[str, FieldPipeline], beton: Beton
) -> FieldPipeline:
    """Items that say nothing go with their boxes, or stay with them."""
    boxes = _boxes_of(output, outputs, beton)
    if boxes is None or pipeline.joint_with is not None:
        return pipeline
    joint = _joint(pipeline, boxes, outputs)
    return replace(joint, joint_with=DISABLED) if outputs[boxes].joint_with == DISABLED else joint


def _joint(pipeline: FieldPipeline, partner: str, outputs: Mapping[str, FieldPipeline]) -> FieldPipeline:
    return replace(pipeline, joint_with=partner, views=pipeline.views or outputs[partner].views)


def _normal(output: str, pipeline: Any) -> FieldPipeline:
    pipeline = adapted(pipeline)
    if isinstance(pipeline, str):
        raise PipelineError(f"pipeline of '{output}': expected a list, null or '{DISABLED}'; got '{pipeline}'")
    if isinstance(pipeline, Mapping):
        known = [field.name for field in fields(FieldPipeline)]
        if unknown := [key for key in pipeline if key not in known]:
            raise PipelineError(f"pipeline of '{output}': no key {unknown[0]!r}; keys are {', '.join(known)}")
        pipeline = FieldPipeline(**pipeline)
    if isinstance(pipeline, FieldPipeline):
        if pipeline.views is not None and (not isinstance(pipeline.views, int) or pipeline.views < 1):
            raise PipelineError(f"pipeline of '{output}': views is a number from 1 on; got {pipeline.views!r}")
        return pipeline
    if pipeline is None or isinstance(pipeline, Sequence):
        return FieldPipeline(pipeline)
    given = type(pipeline).__name__
    raise PipelineError(f"pipeline of '{output}': expected a list of operations, or a mapping; got {given}")


def _root(output: str, outputs: Mapping[str, FieldPipeline]) -> str:
    """The output at the end of a chain of `joint_with`."""
    seen = [output]
    while (partner := outputs[seen[-1]].joint_with) not in (None, DISABLED):
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
