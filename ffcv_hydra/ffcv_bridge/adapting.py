"""Which of FFCV's things becomes what. Everything is converted here, once, and nowhere else."""

from collections.abc import Sequence
from typing import Any

from ffcv import fields as ffcv_fields
from ffcv import transforms
from ffcv.loader import OrderOption as FFCVOrderOption
from ffcv.pipeline.operation import Operation as FFCVsOperation
from ffcv.pipeline.pipeline_spec import PipelineSpec
from ffcv.traversal_order.base import TraversalOrder

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.ffcv_bridge.fields import FieldReader, as_field
from ffcv_hydra.ffcv_bridge.operations import FFCVOperation
from ffcv_hydra.ffcv_bridge.orders import FFCVOrdering
from ffcv_hydra.operations.to_tensor import ToTensor
from ffcv_hydra.ordering.options import OrderOption
from ffcv_hydra.pipeline import FieldPipeline

_FFCVS_DEFAULT = (ToTensor(),)  # one object: another one would be another setting


def adapt(thing: Any) -> Any:
    """What stands for an object or a class of FFCV's, or of a class derived from one; `thing` itself for others."""
    if isinstance(thing, type):
        if issubclass(thing, ffcv_fields.Field):
            return FieldReader(thing)
        return FFCVOrdering(thing) if issubclass(thing, TraversalOrder) else thing
    if isinstance(thing, transforms.ModuleWrapper):
        return thing.module
    if type(thing) is transforms.ToTensor:
        return ToTensor()
    if isinstance(thing, FFCVsOperation):
        return FFCVOperation(thing)
    if isinstance(thing, ffcv_fields.Field):
        return as_field(thing)
    if isinstance(thing, FFCVOrderOption):
        return OrderOption[thing.name]
    if isinstance(thing, PipelineSpec):
        return _field_pipeline(thing)
    return thing


def _field_pipeline(spec: PipelineSpec) -> FieldPipeline:
    if spec.default_pipeline:
        return FieldPipeline(_FFCVS_DEFAULT, source=spec.source)
    if isinstance(spec.decoder, Sequence):
        raise PipelineError(f"PipelineSpec({spec.source!r}, [...]): a list of operations belongs in transforms=[...]")
    decoder = [] if spec.decoder is None else [spec.decoder]
    return FieldPipeline([*decoder, *spec.transforms], source=spec.source)
