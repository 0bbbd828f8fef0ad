"""Whether the checkpoints of a run can be loaded again, said before there are any."""

import io
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytorch_lightning as pl
import torch

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.torch_internals import refused_class


class PlainCheckpoints(pl.Callback):
    """Refuses to train what leaves checkpoints that are refused afterwards, as are those with objects in them.

    For that `on_save_checkpoint` of model and callbacks is called once with an empty checkpoint.

    Args:
        trusted: objects are loaded (`trust_checkpoint=true`); it is enough that they can be saved.
    """

    def __init__(self, trusted: bool = False) -> None:
        self.trusted = trusted

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at hyperparameters, states and what hooks add, without the tensors in them; raises `ConfigError`."""
        for name, value, advice in _contents(trainer, pl_module):
            file = io.BytesIO()
            try:
                torch.save(_without_tensors(value), file)
            except Exception as error:
                raise ConfigError(f"{name} cannot be saved in a checkpoint ({_brief(error)}): {advice}") from error
            if self.trusted:
                continue
            file.seek(0)
            try:
                torch.load(file, map_location="cpu", weights_only=True)
            except Exception as error:
                raise ConfigError(
                    f"{name} puts {refused_class(error)} into each checkpoint, which is refused when it is loaded: "
                    f"{advice}, or set trust_checkpoint=true, here and where it is loaded"
                ) from error


def _contents(trainer: pl.Trainer, model: pl.LightningModule) -> Iterator[tuple[str, Any, str]]:
    """Name, value and remedy of each part that is more than weights."""
    plain = "let it hold numbers, text, tensors, lists and dictionaries only"
    data = trainer.datamodule  # type: ignore[attr-defined]
    for holder in (model, data):
        if holder is None:
            continue
        hyperparameters = holder.hparams if isinstance(holder.hparams, dict) else {"all": holder.hparams}
        for name, value in hyperparameters.items():
            ignore = f"leave it out by save_hyperparameters(ignore=[{name!r}])"
            yield f"hyperparameter '{name}' of {type(holder).__name__}", value, ignore
    if data is not None:
        yield f"state_dict() of {type(data).__name__}", data.state_dict(), plain
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        yield f"state_dict() of the callback {type(callback).__name__}", callback.state_dict(), plain
    for optimizer in trainer.optimizers:
        yield f"state_dict() of {type(optimizer).__name__}", optimizer.state_dict(), plain
    for schedule in trainer.lr_scheduler_configs:
        yield f"state_dict() of {type(schedule.scheduler).__name__}", schedule.scheduler.state_dict(), plain
    callbacks = [(callback, (trainer, model)) for callback in trainer.callbacks]  # type: ignore[attr-defined]
    for owner, arguments in [*callbacks, (model, ())]:
        for key, value in _added(owner, arguments).items():
            yield f"on_save_checkpoint() of {type(owner).__name__}, under '{key}',", value, plain


def _added(owner: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """What the hook adds to a checkpoint, as far as it comes without what is in a real one."""
    checkpoint: dict[str, Any] = {"state_dict": {}}
    with suppress(Exception):
        owner.on_save_checkpoint(*arguments, checkpoint)
    return checkpoint


def _without_tensors(value: Any) -> Any:
    """The value with empty tensors; what is in containers of other classes than torch's and Python's own is kept."""
    if type(value) in (dict, OrderedDict):
        return type(value)((key, _without_tensors(entry)) for key, entry in value.items())
    if type(value) in (list, tuple):
        return type(value)(map(_without_tensors, value))
    return torch.empty(0, dtype=value.dtype) if type(value) in (torch.Tensor, torch.nn.Parameter) else value


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
