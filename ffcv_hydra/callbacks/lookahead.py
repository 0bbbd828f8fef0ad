"""Lookahead: the weights are pulled back to their running average every few steps."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from ffcv_hydra.lightning_internals import Callback


class Lookahead(Callback):
    """Average floating-point weights and buffers while training, and go on from the average.

    As airbench has it (Jordan, arXiv:2404.00498, after "Lookahead Optimizer", arXiv:1907.08610). The average forgets by
    `decay ** every_n_steps` times the share of the run that is over to the power of `power`; each epoch ends with the
    weights as the average.

    Args:
        start_epoch: from which on.
        every_n_steps: optimizer steps between two updates.
        decay: how much of the average is kept per step, at the end of the run.
        power: how late in the run that becomes so.
    """

    def __init__(self, start_epoch: int = 3, every_n_steps: int = 5, decay: float = 0.95, power: float = 3.0) -> None:
        self.start_epoch = start_epoch
        self.every_n_steps = every_n_steps
        self.decay = decay
        self.power = power
        self._averages: dict[str, Tensor] = {}
        self._step = 0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        step, total = trainer.global_step, trainer.estimated_stepping_batches
        if trainer.current_epoch < self.start_epoch or step == self._step:  # which gradients are accumulated for
            return
        self._step = step
        if step % self.every_n_steps == 0:
            self._update(pl_module, self.decay**self.every_n_steps * (step / total) ** self.power)
        if self._averages and (trainer.is_last_batch or step >= total):
            self._update(pl_module, 1)

    def state_dict(self) -> dict[str, Any]:
        """The average, by the names of the weights."""
        return {"averages": self._averages}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._averages = state_dict["averages"]

    @torch.no_grad()
    def _update(self, module: pl.LightningModule, keep: float) -> None:
        state = {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}
        if not self._averages:
            self._averages = {name: tensor.clone() for name, tensor in state.items()}
            return
        for name, tensor in state.items():
            average = self._averages[name] = self._averages[name].to(tensor.device)
            average.lerp_(tensor, 1 - keep)
            tensor.copy_(average)
