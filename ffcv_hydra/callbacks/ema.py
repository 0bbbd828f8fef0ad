"""An exponential moving average of the weights, which is what is evaluated and kept."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.lightning_copies_internals import OfEveryLightning, in_every
from ffcv_hydra.lightning_internals import move_average


class EMA(WeightAveraging, OfEveryLightning):
    """Averages the weights, and the statistics of normalisations, over the steps; evaluations and checkpoints use that.

    A checkpoint has the average as its `state_dict`, which is what a test, a prediction or another program loads, and
    beside it the weights that are trained, with which a resumed run goes on as if it had never stopped.

    Args:
        decay: what is kept of the average in each update. In the first updates it is less, (1 + n) / (10 + n) in the
            n-th one, so that an average of few steps is none of the initial weights.
        every_n_steps: optimizer steps from one update to the next.

    Raises:
        ConfigError: for a decay outside (0, 1), or less than one step.
    """

    def __init__(self, decay: float = 0.999, every_n_steps: int = 1) -> None:
        if not 0 < decay < 1 or every_n_steps < 1:
            raise ConfigError(
                f"EMA: decay is above 0 and below 1, every_n_steps at least 1; got {decay} and {every_n_steps}"
            )
        super().__init__(multi_avg_fn=self._average)
        self.decay = decay
        self.every_n_steps = every_n_steps
        self._is_swapped = False

    def _average(self, averages: list[Tensor], weights: list[Tensor], updates: Tensor | int) -> None:
        count = int(updates)
        share = 1 - min(self.decay, (1 + count) / (10 + count))
        for average, weight in zip(averages, weights, strict=True):
            if average.is_floating_point():
                average.lerp_(weight, share)
            else:  # numbers of batches
                average.copy_(weight)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether to update after a step, or after an epoch."""
        return step_idx is not None and (step_idx + 1) % self.every_n_steps == 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begin with a copy of the model."""
        # of the model's package of Lightning, which alone knows what the model overrides
        is_ours = isinstance(pl_module, pl.LightningModule)
        in_every(WeightAveraging)[0 if is_ours else -1].setup(self, trainer, pl_module, stage)
        if stage == "fit":
            self._is_swapped = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Follow the model to its device, where it was not yet when it was copied."""
        move_average(self, pl_module.device)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Have the model use the average."""
        self._swap(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Have it use its own weights again."""
        self._swap(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the model with the average; its own weights are for a checkpoint that is still to come."""
        self._swap(trainer, pl_module)

    def _swap(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            super().on_validation_epoch_start(trainer, pl_module)
            self._is_swapped = not self._is_swapped

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save both, also while the model uses the average, as when a validation is stopped."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self._is_swapped:
            exchanged = checkpoint["current_model_state"], checkpoint["state_dict"]
            checkpoint["state_dict"], checkpoint["current_model_state"] = exchanged

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on with both; an evaluation has loaded the average, which is all it needs."""
        if trainer.state.fn == TrainerFn.FITTING:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
