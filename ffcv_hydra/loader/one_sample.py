"""What a loader gives of one sample alone, without the axis and the padding of a batch."""

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ffcv_hydra.beton import Beton
from ffcv_hydra.beton.fields.image_fields import is_image
from ffcv_hydra.errors import LoaderError
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.operations import PaddedArray, PaddedBytes, Resize
from ffcv_hydra.pipeline import DISABLED, FieldPipeline, Pipeline


def check_alone(beton: Beton, plan: Plan, sample: int, epoch: int | None) -> None:
    """Raise an `IndexError` if there is no such sample, a `LoaderError` if it cannot be had alone in an epoch."""
    for what, number in {"ids": sample, "epochs": 0 if epoch is None else epoch}.items():
        if not hasattr(number, "__index__"):
            raise LoaderError(f"sample: {what} are whole numbers; got {number!r}")
    if not 0 <= operator.index(sample) < beton.num_samples:
        raise IndexError(f"{beton.path}: there is no sample {sample}; it has {beton.num_samples:,}")
    if epoch is None:
        return
    if operator.index(epoch) < 0:
        raise LoaderError(f"sample: epochs are numbers from 0 on; got {epoch}")
    for node in plan.mixing:
        if (size := node.operation.group_size) > 2:  # in a pair one may be left alone
            raise LoaderError(
                f"sample: {node.name} makes the images of '{node.output}' of {size} samples each; leave the epoch out"
                " to see one as it is stored, or look at a batch"
            )


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
