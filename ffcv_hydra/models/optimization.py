"""Optimizers and learning-rate schedules from plain dictionaries, as configs write them."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR, LRScheduler, ReduceLROnPlateau, SequentialLR

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models.components import built
from ffcv_hydra.models.resumed_schedule import ResumedSchedule

TOTAL = "total"
"""Written as the value of a schedule's argument (`T_max: total`), it stands for the schedule's true length."""


def configure_optimizers(
    module: pl.LightningModule, optimizer: Mapping[str, Any], scheduler: Mapping[str, Any] | None
) -> OptimizerLRScheduler:
    """Build what `LightningModule.configure_optimizers` returns.

    Args:
        module: its parameters that require gradients are optimized; its trainer knows the number of steps.
        optimizer: `{"_target_": "torch.optim.AdamW", "lr": 1e-3, ...}`. Besides its own arguments it may hold `groups`:
            each has options of its own for the parameters whose names `match`, a regular expression, is found in,
            such as `[{"match": "bn", "weight_decay": 0}]`; the first one that matches counts.
        scheduler: None for a constant rate, or `{"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR",
            "T_max": "total", ...}`. Besides the schedule's own arguments it may hold
            `interval`: "epoch" (default) or "step": how often the schedule moves;
            `warmup`: intervals of linear warm-up before the schedule, a number (int) or a part of the run (float < 1);
            `monitor`: the metric that `ReduceLROnPlateau` watches.
            An argument whose value is "total" gets the number of intervals that the run has left after the warm-up.
            None stands for the default, so that a config can take back what another one gives.
            A resumed run goes on where the schedule of its own length and options is then: see `ResumedSchedule`.

    Raises:
        ConfigError: a target does not exist or refuses its arguments, a group has no parameters, or "total" is asked of
            a run without an end.
    """
    arguments = dict(optimizer)
    parameters = _parameter_groups(module, arguments.pop("groups", ()))
    built_optimizer: Optimizer = _build("model.optimizer", arguments, parameters)
    if scheduler is None:
        return built_optimizer
    options = dict(scheduler)
    interval = options.pop("interval", "epoch")
    if interval not in ("epoch", "step"):
        raise ConfigError(f"model.scheduler.interval={interval!r}: it is 'epoch' or 'step'")
    schedule: dict[str, Any] = {"interval": interval}
    if "monitor" in options:
        schedule["monitor"] = options.pop("monitor")
    schedule["scheduler"] = _build_schedule(module.trainer, built_optimizer, options, interval)
    if isinstance(schedule["scheduler"], ReduceLROnPlateau) and "monitor" not in schedule:
        raise ConfigError("model.scheduler: ReduceLROnPlateau needs the metric it watches; add monitor=val_loss")
    return {"optimizer": built_optimizer, "lr_scheduler": schedule}  # type: ignore[return-value]


def _parameter_groups(module: nn.Module, groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One group for each of `groups`, and one for the parameters that none of them matches."""
    found: list[dict[str, Any]] = [{**group, "params": []} for group in (*groups, {"match": ""})]
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            next(group for group in found if re.search(group["match"], name))["params"].append(parameter)
    for group in found:
        match = group.pop("match")
        if match and not group["params"]:
            raise ConfigError(f"model.optimizer.groups: no parameter's name has {match!r} in it")
    return [group for group in found if group["params"]]


def _build_schedule(
    trainer: pl.Trainer, optimizer: Optimizer, options: dict[str, Any], interval: str
) -> LRScheduler | ReduceLROnPlateau:
    warmup = options.pop("warmup", 0)
    needs_total = TOTAL in options.values() or 0 < warmup < 1
    total = _number_of_intervals(trainer, interval) if needs_total else 0
    if 0 < warmup < 1:
        warmup = min(max(1, round(warmup * total)), total - 1)  # a run of one step, as fast_dev_run, has none
    if TOTAL in options.values() and warmup >= total:
        raise ConfigError(f"model.scheduler.warmup={warmup}: the run has only {total} {interval}s; choose fewer")
    options = {key: total - warmup if value == TOTAL else value for key, value in options.items()}

    def build() -> LRScheduler | ReduceLROnPlateau:
        schedule: LRScheduler | ReduceLROnPlateau = _build("model.scheduler", options, optimizer)
        if not warmup:
            return schedule
        if isinstance(schedule, ReduceLROnPlateau):
            raise ConfigError("model.scheduler.warmup: ReduceLROnPlateau cannot follow a warm-up; leave one out")
        # The first step is taken at 1/(warmup + 1) of the rate, the first one after the warm-up at the whole of it.
        ramp = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        return SequentialLR(optimizer, [ramp, schedule], milestones=[warmup])

    schedule = build()
    if isinstance(schedule, ReduceLROnPlateau):
        return schedule  # its course is not known from its options
    return ResumedSchedule(schedule, build, {**options, "warmup": warmup})


def _number_of_intervals(trainer: pl.Trainer, interval: str) -> int:
    """Number of optimizer steps, or of epochs, of the whole run."""
    if interval == "step":
        total = trainer.estimated_stepping_batches
    else:
        total = math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs or 0
    if math.isinf(total):
        raise ConfigError(
            f"model.scheduler: a run without an end has no total number of {interval}s;"
            f" set trainer.max_{'epochs' if interval == 'epoch' else 'steps'}"
        )
    return int(total)


def _build(key: str, options: Mapping[str, Any], first_argument: Any) -> Any:
    return built(key, {name: value for name, value in options.items() if value is not None}, first_argument)
