"""A picture of what a detector finds: some samples of an evaluation with their true and their predicted boxes."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from ffcv_hydra.preview.drawing import Column, draw
from ffcv_hydra.preview.marks import Mark, box_marks
from ffcv_hydra.preview.pictures import as_images, picture, value_range
from ffcv_hydra.report.report import boxes_file

_SAMPLES = 6  # of the first batch
_LEAST = 0.3  # that a box is scored, to be shown

log = logging.getLogger(__name__)


class BoxSamples(pl.Callback):
    """Draws, on rank 0, samples of the last evaluation when it ends, for the report.

    A model takes part whose `validation_step` and `test_step` return `{"found": ..., "truth": ...}`: for each image a
    dictionary of `boxes` (n, 4) in pixels of the image, `labels` (n,), and of what is found `scores` (n,).

    Args:
        run_dir: where the pictures go, as `boxes_val.png` and `boxes_test.png`.
    """

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._kept: dict[str, list[Column]] = {}

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: Any, *batch: Any) -> None:
        self._keep("val", trainer, pl_module, *batch)

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: Any, *batch: Any) -> None:
        self._keep("test", trainer, pl_module, *batch)

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._draw("val")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if trainer.state.fn != "fit":
            self._draw("val")

    def on_test_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._draw("test")

    def _keep(
        self, stage: str, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int, loader: int = 0
    ) -> None:
        is_first = trainer.is_global_zero and not (batch_idx or loader or trainer.sanity_checking)
        if not is_first or not isinstance(outputs, Mapping) or not {"found", "truth"} <= {*outputs}:
            return
        if not isinstance(batch, (list, tuple)) or not isinstance(batch[0], torch.Tensor):
            return
        images = as_images(batch[0][:_SAMPLES].float().cpu(), batch[0].shape[1])
        if images is None:
            return
        limits, names = value_range([*images]), getattr(module, "class_names", None)
        pictures = [picture(image, *limits) for image in images]
        self._kept[stage] = [
            Column(title, pictures, marks=[_marks(one, names) for one in outputs[key][:_SAMPLES]])
            for title, key in (("true", "truth"), ("found", "found"))
        ]

    def _draw(self, stage: str) -> None:
        columns = self._kept.pop(stage, None)
        if columns is None:
            return
        path = boxes_file(self._run_dir, stage)
        try:
            draw(columns, stage, [f"found: boxes with a score of {_LEAST} and more"], path)
        except OSError as error:
            log.warning("%s cannot be written: %s", path, error.strerror)


def _marks(one: Mapping[str, Any], names: Sequence[str] | None) -> list[Mark]:
    """The boxes of an image, with scores if there are any."""
    scores = one.get("scores")
    shown = slice(None) if scores is None else scores >= _LEAST
    notes = None if scores is None else [f" {score:.2f}" for score in scores[shown].tolist()]
    return box_marks(one["boxes"][shown].cpu().numpy(), one["labels"][shown].cpu().numpy(), names, notes)
