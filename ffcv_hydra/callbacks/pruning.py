"""Ending a trial early when it does worse than others, on all ranks together."""

import math
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from ffcv_hydra.lightning_internals import Callback
from ffcv_hydra.sweeps.trial import ReportedTrial


class Pruning(Callback):
    """Rank 0 reports a metric after each epoch and asks whether to go on; the answer is broadcast to all ranks.

    A pruned run ends like one that is over: `pruned` is then true, checkpoints stay.

    Args:
        trial: the path of a trial's description, see `ffcv_hydra.sweeps.trial`.
        metric: the name under which the model logs what is optimized.
    """

    def __init__(self, trial: str | Path, metric: str) -> None:
        self.metric = metric
        self.pruned = False
        self._path = Path(trial)
        self._trial: ReportedTrial | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if trainer.is_global_zero and self._trial is None:
            self._trial = ReportedTrial(self._path)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        value = trainer.callback_metrics.get(self.metric)  # on all ranks: reduced when it is read
        decision = trainer.is_global_zero and self._ask(trainer.current_epoch, value)
        self.pruned = bool(trainer.strategy.broadcast(decision))
        if self.pruned:
            trainer.should_stop = True

    def _ask(self, epoch: int, value: Tensor | None) -> bool:
        if value is None:
            rank_zero_warn(f"{self.metric} was not logged in this epoch, so the trial cannot be pruned")
            return False
        assert self._trial is not None
        return math.isfinite(float(value)) and self._trial.report(epoch, float(value))
