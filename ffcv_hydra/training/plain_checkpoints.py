"""Whether the checkpoints of a run can be loaded again, said before there are any."""

import io
import re
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch

from ffcv_hydra.errors import ConfigError


class PlainCheckpoints(pl.Callback):
    """Refuses to train what leaves checkpoints that are refused afterwards, as are those with objects in them.

    Args:
        trusted: objects are loaded (`trust_checkpoint=true`); it is enough that they can be saved.
    """

    def __init__(self, trusted: bool = False) -> None:
        self.trusted = trusted

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at hyperparameters and states, without the weights; raises `ConfigError`."""
        for name, value, advice in _contents(trainer, pl_module):
            file = io.BytesIO()
            try:
                torch.save(value, file)
            except Exception as error:
                raise ConfigError(f"{name} cannot be saved in a checkpoint ({_brief(error)}): {advice}") from error
            if self.trusted:
                continue
            file.seek(0)
            try:
                torch.load(file, weights_only=True)
            except Exception as error:
                raise ConfigError(
                    f"{name} puts {_class(error)} into each checkpoint, which is refused when it is loaded: "
                    f"{advice}, or set trust_checkpoint=true, here and where it is loaded"
                ) from error


def _contents(trainer: pl.Trainer, model: pl.LightningModule) -> Iterator[tuple[str, Any, str]]:
    """Name, value and remedy of each part that is more than weights."""
    for holder in (model, trainer.datamodule):  # type: ignore[attr-defined]
        if holder is None:
            continue
        hyperparameters = holder.hparams if isinstance(holder.hparams, dict) else {"all": holder.hparams}
        for name, value in hyperparameters.items():
            ignore = f"leave it out by save_hyperparameters(ignore=[{name!r}])"
            yield f"hyperparameter '{name}' of {type(holder).__name__}", value, ignore
    plain = "let it hold numbers, text, tensors, lists and dictionaries only"
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        yield f"state_dict() of the callback {type(callback).__name__}", callback.state_dict(), plain
    for optimizer in trainer.optimizers:
        yield f"state_dict() of {type(optimizer).__name__}", optimizer.state_dict(), plain
    for schedule in trainer.lr_scheduler_configs:
        yield f"state_dict() of {type(schedule.scheduler).__name__}", schedule.scheduler.state_dict(), plain


def _class(error: Exception) -> str:
    """The class that `torch.load` does not take, by its name in the message."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return found[1] if found else "an object"


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
