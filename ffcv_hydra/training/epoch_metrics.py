"""The metrics of the epochs that have ended, also of a run that does not come to its end."""

import logging
import math
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only

log = logging.getLogger(__name__)


class EpochMetrics(pl.Callback):
    """Keeps what was last logged by epoch or validation, and tells once of a loss that is no number any more.

    Attributes:
        metrics: floats by name.
        not_finite: the first epoch, from 1 on, at whose end a loss was NaN or infinite, by its name; the loss of a
            model that does not log it is called `loss`.
        has_trained: whether there was a batch to train on: a checkpoint of a run's end has none left.
    """

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.not_finite: dict[str, int] = {}
        self.has_trained = False
        self._loss: Any = None

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, *args: Any) -> None:
        self.has_trained = True
        self._loss = outputs.get("loss") if isinstance(outputs, dict) else outputs

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._take(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._take(trainer)
        losses = {name: value for name, value in self.metrics.items() if "loss" in name}
        if isinstance(self._loss, torch.Tensor) and not any(math.isnan(value) for value in losses.values()):
            losses["loss"] = float(self._loss.detach().float().mean())
        epoch = trainer.current_epoch + 1
        for name, value in losses.items():
            if not math.isfinite(value) and name not in self.not_finite:
                self.not_finite[name] = epoch
                rank_zero_only(log.warning)("%s is %s at the end of epoch %d", name, value, epoch)

    def _take(self, trainer: pl.Trainer) -> None:
        self.metrics |= {name: float(value) for name, value in trainer.callback_metrics.items()}
