"""The metrics of the epochs that have ended, also of a run that does not come to its end, and what it optimizes."""

import logging
import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_only

from ffcv_hydra.callbacks.progress_bar import epoch_line
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.lightning_internals import take_learning_rates
from ffcv_hydra.run_folder import METRICS
from ffcv_hydra.training.rows_file import RowsFile
from ffcv_hydra.training.run_log import note
from ffcv_hydra.training.step_logger import StepLogger

log = logging.getLogger(__name__)


class EpochMetrics(pl.Callback):
    """Keeps what was last logged by epoch or evaluation, and tells once of a loss that is no number any more.

    Each epoch of a training is a row of `metrics.csv`, with what was logged in it and in its last evaluation, and a
    line of `run.log`. A run that goes on in the same folder adds to what the run before has left there.

    Ends a run after its first evaluated epoch if the model does not log what is optimized.

    Args:
        optimized: the name of that metric; None if there is none.
        run_dir: where `metrics.csv` is.

    Attributes:
        metrics: floats by name.
        not_finite: the first epoch, from 1 on, at whose end a loss was NaN or infinite, by its name; the loss of a
            model that does not log it is called `loss`.
        has_trained: whether there was a batch to train on: a checkpoint of a run's end has none left.
    """

    def __init__(self, optimized: str | None, run_dir: Path) -> None:
        self.optimized = optimized
        self.rows = RowsFile(run_dir / METRICS, "epoch")
        self.metrics: dict[str, float] = {}
        self.not_finite: dict[str, int] = {}
        self.has_trained = False
        self._is_evaluated = False
        self._loss: Any = None
        self._earlier: dict[str, Any] = {}  # what was logged before this epoch
        self._ended: tuple[int, int] | None = None  # epoch and step of the row that more may come to

    def _take(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        self.metrics |= {name: float(value) for name, value in trainer.callback_metrics.items()}

    on_test_end = _take

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._is_evaluated = True
            self._take(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.rows.keep_before(trainer.current_epoch + 1)
            for logger in trainer.loggers:
                if isinstance(logger, StepLogger):
                    logger.rows.keep_before(trainer.global_step)
        _tell_loggers(trainer, is_training=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._take(trainer)
        self._complete_row(trainer)
        _tell_loggers(trainer, is_training=False)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at what the epochs before have logged; raises `ConfigError`."""
        self._complete_row(trainer)
        if self.optimized and self._is_evaluated:
            self._take(trainer)
            self.optimized_value(trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.is_last_batch:  # whose rate is the epoch's: behind it, a schedule has moved on, perhaps to zero
            take_learning_rates(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, *args: Any) -> None:
        self.has_trained = True
        self._loss = outputs.get("loss") if isinstance(outputs, dict) else outputs

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_last_batch:  # the run ends within the epoch
            take_learning_rates(trainer)
        self._take(trainer)
        losses = {name: value for name, value in self.metrics.items() if "loss" in name}
        if isinstance(self._loss, torch.Tensor) and not any(math.isnan(value) for value in losses.values()):
            losses["loss"] = float(self._loss.detach().float().mean())
        epoch = trainer.current_epoch + 1
        self._ended = epoch, trainer.global_step
        self._write_row(trainer)
        for name, value in losses.items():
            if not math.isfinite(value) and name not in self.not_finite:
                self.not_finite[name] = epoch
                rank_zero_only(log.warning)("%s is %s at the end of epoch %d", name, value, epoch)

    def _write_row(self, trainer: pl.Trainer) -> None:
        assert self._ended is not None
        logged = dict(trainer.callback_metrics)
        # a metric that was not logged again is the very tensor that it was
        of_epoch = {name: float(value) for name, value in logged.items() if value is not self._earlier.get(name)}
        if trainer.is_global_zero:
            self.rows.add({**of_epoch, "epoch": self._ended[0], "step": self._ended[1]})

    def _complete_row(self, trainer: pl.Trainer) -> None:
        """Add what the model has logged in its own `on_train_epoch_end`, which comes after that of callbacks."""
        if self._ended is None:
            return
        self._write_row(trainer)
        self._earlier = dict(trainer.callback_metrics)
        if trainer.is_global_zero:
            note(epoch_line(trainer, self._ended[0]))
        self._ended = None

    def optimized_value(self, trainer: pl.Trainer) -> float | None:
        """That of the best checkpoint, or else among the metrics; None if the run has evaluated nothing.

        Raises:
            ConfigError: the model was evaluated and has not logged it.
        """
        checkpoints = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
        scores = [checkpoint.best_model_score for checkpoint in checkpoints if checkpoint.monitor == self.optimized]
        for value in (*scores, self.metrics.get(str(self.optimized))):
            if value is not None:
                return float(value)
        if self._is_evaluated:
            logged = ", ".join(sorted(self.metrics)) or "nothing"
            raise ConfigError(f"optimized_metric={self.optimized} was not logged; the run logged {logged}")
        log.warning("optimized_metric=%s has no value: the run ended without an evaluation", self.optimized)
        return None


def _tell_loggers(trainer: pl.Trainer, is_training: bool) -> None:
    for logger in trainer.loggers:
        if isinstance(logger, StepLogger):
            logger.is_training = is_training
