"""What a loader gives of one sample alone, without the axis and the padding of a batch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ffcv_hydra.beton import Beton
from ffcv_hydra.beton.fields.image_fields import is_image
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.operations import PaddedArray, PaddedBytes, Resize
from ffcv_hydra.pipeline import DISABLED, FieldPipeline, Pipeline


def as_stored(beton: Beton, sample: int) -> Mapping[str, Pipeline]:
    """Pipelines that give the fields of a sample as they are: images in its own size, and places in these."""
    pipelines: dict[str, Pipeline] = {}
    for name, field in beton.fields.items():
        operations = None
        if is_image(field):
            row = beton.field_metadata(name)[sample]
            operations = [Resize((int(row["height"]), int(row["width"])))]
        pipelines[name] = FieldPipeline(operations, joint_with=DISABLED)
    return pipelines


def outputs_by_name(plan: Plan, batch: tuple[Any, ...]) -> dict[str, Any]:
    """The outputs of a batch of one sample, each with all its views if it has some."""
    return {
        name: _alone(value) if isinstance(delivered, Node) else [*map(_alone, value)]
        for (name, delivered), value in zip(plan.outputs.items(), batch, strict=True)
    }


def _alone(output: Any) -> Any:
    if isinstance(output, (PaddedArray, PaddedBytes)):
        return output.data[0, : output.lengths[0]]
    return output[0] if isinstance(output, (torch.Tensor, np.ndarray, list, tuple)) and len(output) == 1 else output
