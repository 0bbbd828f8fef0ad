"""What a data module asks its trainer, and what holds where there is none."""

import os

import pytorch_lightning as pl
import torch

_LIMITS = ("limit_train_batches", "overfit_batches")


def ranks(trainer: pl.Trainer | None) -> tuple[int, int, int]:
    """Rank, number of ranks, number of ranks on this machine."""
    if trainer is not None:
        # a cluster that starts a process for each device lets each see one
        here = int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if trainer.world_size > 1 else 1
        return trainer.global_rank, trainer.world_size, max(here, trainer.num_devices)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        world_size = torch.distributed.get_world_size()
        return torch.distributed.get_rank(), world_size, int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
    return 0, 1, 1


def running_stage(trainer: pl.Trainer | None) -> str | None:
    """The stage that the trainer is at."""
    running = None if trainer is None else trainer.state.stage
    return None if running is None else running.dataloader_prefix


def limits(trainer: pl.Trainer | None) -> dict[str, float | int]:
    """What of the trainer's arguments says how much of an epoch is read; nothing without a trainer."""
    return {} if trainer is None else {name: getattr(trainer, name) for name in _LIMITS}


def overfits(trainer: pl.Trainer | None) -> bool:
    """Whether the trainer wants the same few batches in every epoch."""
    return trainer is not None and getattr(trainer, "overfit_batches", 0) > 0
