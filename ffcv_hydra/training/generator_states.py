"""That a resumed run draws what the run would have drawn: knows torch's global generators, and nothing of the data."""

from typing import Any

import pytorch_lightning as pl
import torch

GENERATOR_STATES = "generator_states"


class GeneratorStates(pl.Callback):
    """Keeps the states of torch's generators, of the CPU and of the model's device, in checkpoints.

    Dropout draws from them; Lightning's checkpoints leave them out. All ranks begin with one seed and get the states
    of rank 0. Python's and NumPy's generators are not kept.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, torch.Tensor] = {}

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint[GENERATOR_STATES] = {
            "cpu": torch.get_rng_state(),
            **{kind: module.get_rng_state() for kind, module in _accelerator(pl_module)},
        }

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        self._loaded = checkpoint.get(GENERATOR_STATES, {})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with what was loaded; what was built meanwhile, such as new weights, has drawn from the seed."""
        loaded, self._loaded = self._loaded, {}
        if "cpu" in loaded:
            torch.set_rng_state(loaded["cpu"].cpu())
        for kind, module in _accelerator(pl_module):
            if kind in loaded:
                module.set_rng_state(loaded[kind].cpu())


def _accelerator(pl_module: pl.LightningModule) -> list[tuple[str, Any]]:
    """The kind of the model's device with torch's module for it; none for the CPU."""
    kind = pl_module.device.type
    return [] if kind == "cpu" else [(kind, torch.get_device_module(kind))]
