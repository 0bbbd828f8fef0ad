"""What a stage reads, and how: `FFCVPipelineManager`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import nn

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.collection.mixture import Mixture, Readable
from ffcv_hydra.collection.paths import located
from ffcv_hydra.operations.operation import Operation
from ffcv_hydra.ordering.options import OrderOption

DISABLED = "disabled"


@dataclass(frozen=True)
class FieldPipeline:
    """A pipeline with more than its operations; a mapping with these keys is taken as well.

    Attributes:
        operations: decoder and transforms; None for the field's default ones.
        source: the field that is read; by default the one with the output's name.
        joint_with: the output whose random crops, flips and other geometric operations this one shares. A mask, or
            boxes and points in images that are moved, must name them, or say 'disabled' if it shall not follow: a
            field is known for one by its type (`MaskField`, ragged arrays of 2 or 4 numbers each), its attribute
            `holds_places`, or its name (`boxes`, `gt_boxes`, `keypoints`, `mask`, ...).
        views: how many times the operations are drawn and applied to each image; the output is then a list of so many
            tensors (N, ...). None: once, and the output is one tensor.
    """

    operations: Sequence[Operation | nn.Module] | None = None
    source: str | None = None
    joint_with: str | None = None
    views: int | None = None


# What a field's data goes through. None: the field's default; DISABLED: the field is left out.
Pipeline: TypeAlias = Sequence[Operation | nn.Module] | FieldPipeline | Mapping[str, Any] | str | None


@dataclass
class FFCVPipelineManager:
    """A beton, its pipelines and the order it is read in, for one stage.

    Nothing is opened before a loader is built, so the file may be missing until then.

    Attributes:
        file_path: the beton, the folder of a sharded one, a list of these, or a `Mixture`; paths become absolute.
        pipeline_transforms: the operations of each field: a list in the order of the file's fields, or a mapping by
            field name. None stands for the field's default pipeline, 'disabled' leaves the field out.
        ordering: `sequential`, `random`, `quasi_random`, an `ffcv_hydra.ordering.Ordering`, or an FFCV `OrderOption`
            or `TraversalOrder` class.
        indices: ids of the samples to read, a boolean mask, or a callable that takes the number of samples in the file
            and gives either; all samples by default.
        custom_fields: field classes by field name, for types that FFCV does not know.
    """

    file_path: Readable
    pipeline_transforms: Sequence[Pipeline] | Mapping[str, Pipeline] | None = None
    ordering: Any = OrderOption.SEQUENTIAL
    indices: Any = None
    custom_fields: Mapping[str, type[Field]] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.file_path, (str, os.PathLike)):
            self.file_path = located(self.file_path)
        elif not isinstance(self.file_path, Mixture):
            self.file_path = [located(one) for one in self.file_path]
