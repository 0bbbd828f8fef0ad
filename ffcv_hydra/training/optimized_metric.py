"""What a run optimizes: that it is logged, and its value."""

import logging

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from ffcv_hydra.errors import ConfigError

log = logging.getLogger(__name__)


class OptimizedMetric(pl.Callback):
    """Ends a run after its first evaluated epoch if the model does not log what is optimized.

    Args:
        name: of the metric.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._is_evaluated = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._is_evaluated |= not trainer.sanity_checking

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at what the epochs before have logged; raises `ConfigError`."""
        if self._is_evaluated:
            self.value(trainer, {name: float(metric) for name, metric in trainer.callback_metrics.items()})

    def value(self, trainer: pl.Trainer, metrics: dict[str, float]) -> float | None:
        """That of the best checkpoint, or else among a run's `metrics`; None if the run has evaluated nothing.

        Raises:
            ConfigError: the model was evaluated and has not logged it.
        """
        checkpoints = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
        scores = [checkpoint.best_model_score for checkpoint in checkpoints if checkpoint.monitor == self.name]
        for value in (*scores, metrics.get(self.name)):
            if value is not None:
                return float(value)
        if self._is_evaluated:
            logged = ", ".join(sorted(metrics)) or "nothing"
            raise ConfigError(f"optimized_metric={self.name} was not logged; the run logged {logged}")
        log.warning("optimized_metric=%s has no value: the run ended without an evaluation", self.name)
        return None
