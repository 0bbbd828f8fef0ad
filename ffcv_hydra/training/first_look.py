"""A look at the data before the training starts: that what one model reads is alike in all stages."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.seed import isolate_rng

from ffcv_hydra.datamodule import FFCVDataModule
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.loader.plan.plan import Picture
from ffcv_hydra.models import Classifier
from ffcv_hydra.models.class_labels import check_range
from ffcv_hydra.models.evaluated import EvaluatedModule
from ffcv_hydra.operations.dtypes import torch_dtype
from ffcv_hydra.training.outputs import Output, output_of

LABEL = "label"
"""What datasets call the field that a classifier learns."""


class FirstLook(pl.Callback):
    """Makes one batch of each stage of a fit, on every rank, before the model is touched.

    The evaluations have to give the same outputs, of the same types and shapes but for heights and widths; the training
    may differ from them in what a recipe changes: views, sizes, targets that are mixed. Labels have to be in
    [0, num_classes) in the stages that the model names in `label_stages`, as ours do: what labels a model of the user's
    own takes is its own affair. Models of ours try their losses and metrics on it. Images that a
    `Classifier` normalises have to be of 0 to 1 and not normalised before.
    """

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Look, before a fit; raises `ConfigError` for stages that do not fit together, and what reading raises."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if stage != "fit" or not isinstance(data, FFCVDataModule):
            return
        with isolate_rng():
            batches = {
                name: {output: _on_cpu(value) for output, value in data.first_batch(name).items()}
                for name, manager in data.managers.items()
                if manager is not None
            }
        outputs = {
            name: {output: output_of(value) for output, value in batch.items()} for name, batch in batches.items()
        }
        reference = "val" if "val" in outputs else "train"
        for name, found in outputs.items():
            if name != reference and found and outputs[reference]:
                changed = {output for both in (name, reference) for output in data.changed_on_device(both)}
                _compare(name, found, reference, outputs[reference], changed)
        if isinstance(pl_module, Classifier) and pl_module.mean is not None:
            for name, batch in batches.items():
                for output in list(batch)[:1]:
                    largest = float(pl_module.mean.max())
                    _check_mean(f"pipeline.{name}.{output}", data.pictures(name).get(output), largest)
        for name in getattr(pl_module, "label_stages", ()):
            stored = data.stored_numbers(name, LABEL)
            labels = batches.get(name, {}).get(LABEL) if stored is None else torch.from_numpy(stored)
            with _in_stage(name):
                check_range(labels, pl_module.num_classes)
        if isinstance(pl_module, EvaluatedModule):
            for name, batch in batches.items():
                if not {*list(batch)[1:2]} & {*data.changed_on_device(name)}:
                    with _in_stage(name), isolate_rng():
                        pl_module.check_batch(list(batch.values()))
        data.release("test")


def _on_cpu(value: Any) -> Any:
    """The value of an output, which ToDevice may have taken to where the model is not yet."""
    return value.cpu() if isinstance(value, torch.Tensor) else value


@contextmanager
def _in_stage(name: str) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def _check_mean(place: str, images: Picture | None, largest: float) -> None:
    """Refuse `model.mean` for images that are normalised already, or of another unit."""
    if images is None:
        return
    if images.is_normalized:
        raise ConfigError(f"{place} and model.mean both normalise the images: leave model.mean and model.std out")
    is_scaled_by_model = images.level == 255 and torch_dtype(images.state.dtype) == torch.uint8
    level = 1 if is_scaled_by_model else images.level
    if level == 1 and largest > 1:
        raise ConfigError(f"model.mean and model.std are for images of 0 to 1, as {place} is: divide both by 255")
    if level == 255 and largest <= 1:
        raise ConfigError(f"{place} has levels of 0 to 255, and model.mean is for images of 0 to 1: add DivideImage255")


def _compare(
    stage: str, outputs: Mapping[str, Output], reference: str, others: Mapping[str, Output], changed: set[str]
) -> None:
    exact = "train" not in (stage, reference)  # the first steps try the model on both, but not on a test
    names = [name for name in outputs if name in others]
    order = [name for name in others if name in outputs]
    if names != order or (exact and len(names) != max(len(outputs), len(others))):
        raise ConfigError(
            f"pipeline.{stage} gives {', '.join(outputs)}, and pipeline.{reference} gives {', '.join(others)}: one "
            "model reads both; `FIELD: disabled` leaves a field out, and test_after_fit=false the test"
        )
    for name in names:
        if name not in changed and not _fit(outputs[name], others[name], exact):
            raise ConfigError(
                f"pipeline.{stage}.{name} gives {outputs[name]} per sample, and pipeline.{reference}.{name} gives "
                f"{others[name]}: one model reads both; make them alike (a stage without a pipeline has that of val)"
            )


def _fit(output: Output, other: Output, exact: bool) -> bool:
    if output.dtype is None or other.dtype is None or output.is_padded or other.is_padded:
        return output.dtype == other.dtype
    shape, other_shape = output.shape, other.shape
    if not exact and (output.views != other.views or min(len(shape), len(other_shape)) < 2):
        return True
    if output.views != other.views or len(shape) != len(other_shape):
        return False
    is_float = [dtype.startswith(("float", "bfloat")) for dtype in (output.dtype, other.dtype)]
    if is_float[0] != is_float[1] or (exact and output.dtype != other.dtype):
        return False
    if len(shape) < 2:
        return shape == other_shape
    return len(shape) != 3 or _same_channels(shape, other_shape)


def _same_channels(shape: Sequence[int], other: Sequence[int]) -> bool:
    """Whether shapes (C, H, W) or (H, W, C) are of as many channels on the same side."""
    sides = [(0 if one[0] <= one[2] else 2, min(one[0], one[2])) for one in (shape, other)]
    # of many channels and few pixels the smaller side says nothing
    resized = shape[0] == other[0] and shape[1] != other[1] and shape[2] != other[2]
    return sides[0] == sides[1] or resized
