"""`evaluation.json`: what a run read and what its evaluations found, in numbers that a report is made of."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from ffcv_hydra.atomic_file import write_whole
from ffcv_hydra.beton.fields.image_fields import is_image
from ffcv_hydra.collection.mixture import named
from ffcv_hydra.datamodule import FFCVDataModule
from ffcv_hydra.errors import ConfigError, FFCVHydraError, describe_error
from ffcv_hydra.loader import Loader
from ffcv_hydra.report.evaluation import Evaluation, read_evaluation
from ffcv_hydra.training.evaluation_tally import EvaluationTally, counted
from ffcv_hydra.training.first_look import LABEL
from ffcv_hydra.training.logged_figures import log_figures
from ffcv_hydra.training.record import finite
from ffcv_hydra.urls import is_url, shown

_MOST_LABELS = 10_000_000
"""Of which those of each class are counted."""

_MOST_CLASSES = 100_000

_MOST_NUMBERS = 1_000_000
"""Of a metric that is written."""

log = logging.getLogger(__name__)


class EvaluationRecord(pl.Callback):
    """Writes, on rank 0, a JSON file when the training starts and at the end of each evaluation.

    It holds `class_names` (by number, or null), `data` and `evaluations`. `data` says by stage how many `samples` there
    are, in which `betons`, in which field their `image` is, and how many are of each class (`counts`, or null).
    `evaluations` has the last one of `val` and `test`: the `epoch` of a fit that it followed (from 1 on), the `metrics`
    of all dimensions that the model's `evaluation_metrics(stage)` gives, and, for a classifier, what `counted`
    describes and its worst `mistakes`, with the samples' names. `ffcv_hydra.report.evaluation` reads it.

    Loggers that show pictures are given figures of the last evaluation of a fit, and of others.

    A model takes part whose `validation_step` and `test_step` return `{"logits": (N, C), "labels": (N,)}`.

    Args:
        path: of the file, which is replaced as a whole each time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.contents: Evaluation = {"class_names": None, "data": {}, "evaluations": {}}
        self._tally: EvaluationTally | None = None
        self._is_told = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step:  # it goes on; so does what was found before, until it is found anew
            with suppress(ConfigError):
                self.contents["evaluations"] = read_evaluation(self.path.parent)["evaluations"]
        self._look_at(trainer, "train", trainer.train_dataloader)
        self._look_at(trainer, "val", trainer.val_dataloaders)
        self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._log_figures(trainer, "val")

    def _start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._tally = None

    on_validation_epoch_start = on_test_epoch_start = _start

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: Any, *batch: Any) -> None:
        self._count(trainer.val_dataloaders, trainer, *batch)

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: Any, *batch: Any) -> None:
        self._count(trainer.test_dataloaders, trainer, *batch)

    # at the end, when the model has its metrics
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._finish(trainer, pl_module, "val", trainer.val_dataloaders)
        if trainer.state.fn != "fit":
            self._log_figures(trainer, "val")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._finish(trainer, pl_module, "test", trainer.test_dataloaders)
        self._log_figures(trainer, "test")

    def _count(
        self, loaders: Any, trainer: pl.Trainer, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if trainer.sanity_checking or dataloader_idx or not isinstance(outputs, dict):
            return
        logits, labels = outputs.get("logits"), outputs.get("labels")
        if not isinstance(logits, Tensor) or not isinstance(labels, Tensor) or logits.ndim != 2:
            return
        if labels.shape != logits.shape[:1] or labels.is_floating_point():
            return
        if self._tally is None:
            self._tally = EvaluationTally(logits.shape[1], logits.device)
        ids = loaders.sample_ids(batch_idx) if hasattr(loaders, "sample_ids") else ()
        sample_ids = torch.as_tensor(ids, dtype=torch.int64).to(logits.device) if len(ids) == len(labels) else None
        self._tally.update(logits.detach(), labels.detach().long(), sample_ids)

    def _finish(self, trainer: pl.Trainer, pl_module: Any, stage: str, loader: Any) -> None:
        """Every rank takes part."""
        if trainer.sanity_checking:
            return
        found: Any = {
            "epoch": trainer.current_epoch + 1 if trainer.state.fn == "fit" else None,
            "metrics": {},
        }
        of_model = getattr(pl_module, "evaluation_metrics", None)
        metrics: dict[str, Tensor] = {} if of_model is None else dict(of_model(stage))
        tally, self._tally = self._tally, None
        if trainer.world_size > 1:  # a rank may have had nothing to count
            own = torch.tensor(0 if tally is None else tally.num_classes, device=pl_module.device)
            num_classes = int(trainer.strategy.reduce(own, reduce_op="max"))
            if tally is None and num_classes:
                tally = EvaluationTally(num_classes, pl_module.device)
        if tally is not None:
            if trainer.world_size > 1:
                tally.gather(lambda one: trainer.strategy.reduce(one, reduce_op="sum"), pl_module.all_gather)
            found |= tally.described()
        if not trainer.is_global_zero:
            return
        for name, value in metrics.items():
            is_square = value.ndim == 2 and value.shape[0] == value.shape[1]
            is_matrix = "confusion" in name and is_square and not value.is_floating_point()  # which are shares
            if is_matrix and tally is None:
                found |= counted(value.sum(1), value.diagonal(), value)
            elif not is_matrix and value.numel() <= _MOST_NUMBERS:
                found["metrics"][name] = value.tolist()
        self._look_at(trainer, stage, loader)
        for mistake in found.get("mistakes", ()):
            mistake["name"] = None
        if isinstance(loader, Loader):
            with self._tolerance():
                for mistake in found.get("mistakes", ()):
                    mistake["name"] = loader.sample_name(mistake["id"])
        self.contents["evaluations"][stage] = found
        self._write(trainer)

    def _log_figures(self, trainer: pl.Trainer, stage: str) -> None:
        if trainer.is_global_zero:
            log_figures(trainer.loggers, self.contents, stage, trainer.global_step)

    def _look_at(self, trainer: pl.Trainer, stage: str, loader: Any) -> None:
        """Note what a stage reads, once."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not trainer.is_global_zero or stage in self.contents["data"] or not isinstance(loader, Loader):
            return
        with self._tolerance():
            self._describe(stage, loader, data)

    @contextmanager
    def _tolerance(self) -> Iterator[None]:
        """Let what cannot be read of the data, for the report alone, end no training."""
        try:
            yield
        except FFCVHydraError as error:
            if not self._is_told:
                log.warning("the report lacks something: %s", describe_error(error))
            self._is_told = True

    def _describe(self, stage: str, loader: Loader, data: Any) -> None:
        beton = loader.passes.storage.beton
        images = [name for name, field in beton.fields.items() if is_image(field)]
        read = [name for name in loader.output_names if name in images]
        found: Any = {"samples": loader.num_samples, "image": (read + images + [None])[0], "betons": []}
        if isinstance(data, FFCVDataModule) and (manager := data.managers[stage]) is not None:
            found["betons"] = [shown(path) if is_url(path) else str(path) for path in named(manager.file_path)]
        is_counted = LABEL in beton.fields and loader.num_samples <= _MOST_LABELS
        found["counts"] = _counts(loader.stored_numbers(LABEL)) if is_counted else None
        self.contents["data"][stage] = found
        if loader.class_names is not None:
            self.contents["class_names"] = list(loader.class_names)

    def _write(self, trainer: pl.Trainer) -> None:
        if not trainer.is_global_zero:
            return
        try:
            write_whole(self.path, json.dumps(finite(self.contents)) + "\n")
        except OSError as error:
            if not self._is_told:
                log.warning("%s cannot be written: %s", self.path, error.strerror)
            self._is_told = True


def _counts(labels: np.ndarray | None) -> Sequence[int] | None:
    """How many samples each class has; None for what are no numbers of classes."""
    if labels is None or not len(labels) or labels.min() < 0 or labels.max() >= _MOST_CLASSES:
        return None
    return np.bincount(labels).tolist()
