"""Train the last layers of a network first, and all of it from an epoch on."""

import logging
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities import rank_zero_only
from torch import nn

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.lightning_copies_internals import in_every
from ffcv_hydra.lightning_internals import Callback
from ffcv_hydra.nearest import hint

log = logging.getLogger(__name__)


class Finetuning(Callback):
    """Keeps a network as it is, but for its head, until an epoch begins: neither its weights nor its statistics change.

    The optimizer has all weights from the start, and leaves out those that have no gradient; so schedules, checkpoints
    and a resumed run need not know of it.

    Args:
        unfreeze_at_epoch: the first epoch, counted from 0, in which all is trained; None: none is.
        network: which part of the model is frozen, by its attribute. What has but one child with weights wraps that,
            and stays in training.
        keep: its children that are trained from the start; by default the last one that has weights, of what it wraps.

    Raises:
        ConfigError: when the training begins, if the model has no such parts.
    """

    def __init__(
        self, unfreeze_at_epoch: int | None = 1, network: str = "backbone", keep: Sequence[str] | None = None
    ) -> None:
        self.unfreeze_at_epoch = unfreeze_at_epoch
        self.network = network
        self.keep = keep
        self._is_frozen = False
        self._trained: list[nn.Parameter] = []  # those that unfreezing is for

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._is_frozen = False

    def _follow(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        end = self.unfreeze_at_epoch
        is_frozen = end is None or trainer.current_epoch < end
        if is_frozen == self._is_frozen:
            return
        self._is_frozen = is_frozen
        network = _part(pl_module, self.network, "network")
        if is_frozen:
            self._trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        kept = self._kept(network)
        of_kept = {parameter for child in kept.values() for parameter in child.parameters()}
        if is_frozen and of_kept.issuperset(self._trained):
            raise ConfigError(
                f"callbacks.finetuning.network={self.network}: {', '.join(kept)} is all of it that is trained; "
                "name a network with more parts, or others to keep"
            )
        for parameter in self._trained:
            parameter.requires_grad_(not is_frozen or parameter in of_kept)
        network.train(not is_frozen)
        for wrapper in _unwrapped(network)[0]:
            wrapper.training = True
        for child in kept.values():
            child.train()
        strategy: Any = trainer.strategy
        if isinstance(strategy, in_every(DDPStrategy)):  # it reduces the gradients that were wanted when it was made
            strategy.model = pl_module
            strategy.configure_ddp()
        if not is_frozen:
            rank_zero_only(log.info)("from epoch %d on all of %s is trained", trainer.current_epoch + 1, self.network)
            return
        until = "" if end is None else f" until epoch {end} has ended"
        rank_zero_only(log.info)("of %s only %s is trained%s", self.network, ", ".join(kept), until)

    on_train_start = on_train_epoch_start = _follow  # a run that goes on within an epoch does not start it

    def _kept(self, network: nn.Module) -> dict[str, nn.Module]:
        if self.keep is not None:
            return {name: _part(network, name, "keep") for name in self.keep}
        _, inner = _unwrapped(network)
        heads = _with_weights(network.get_submodule(inner))
        if not heads:
            raise ConfigError(f"callbacks.finetuning.network={self.network}: it has no parts of which one is its head")
        name = f"{inner}.{heads[-1]}".removeprefix(".")
        return {name: network.get_submodule(name)}


def _unwrapped(network: nn.Module) -> tuple[list[nn.Module], str]:
    """What is around a network, each of one child with weights, and the network's name within."""
    wrappers: list[nn.Module] = []
    inner, names = network, []
    while len(parts := _with_weights(inner)) == 1:
        wrappers.append(inner)
        names += parts
        inner = inner.get_submodule(parts[0])
    return wrappers, ".".join(names)


def _with_weights(module: nn.Module) -> list[str]:
    return [name for name, child in module.named_children() if any(True for _ in child.parameters())]


def _part(module: nn.Module, name: str, key: str) -> nn.Module:
    try:
        return module.get_submodule(name)
    except AttributeError:
        parts = [known for known, _ in module.named_children()]
        advice = f"{type(module).__name__} has no such part; {hint(name, parts)}"
        raise ConfigError(f"callbacks.finetuning.{key}={name}: {advice}") from None
