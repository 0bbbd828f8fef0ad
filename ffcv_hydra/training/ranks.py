"""The processes of a distributed run."""

import logging
import multiprocessing
import os
import signal
import subprocess
import time
from typing import TypeVar

import pytorch_lightning as pl
import torch.distributed as dist
from pytorch_lightning.utilities import rank_zero_only

from ffcv_hydra.lightning_internals import child_ranks
from ffcv_hydra.process_ends import how_it_ended

_logger = logging.getLogger(__name__)
_Value = TypeVar("_Value")


def global_rank() -> int:
    """Return this process's rank, also before there is a trainer; 0 where there is a single process.

    The ranks that Lightning starts, `torchrun` and SLURM say theirs in the environment. Of the processes that a user
    starts by hand, one per node with `NODE_RANK`, the later ones are counted as their node's rank.
    """
    rank: int = getattr(rank_zero_only, "rank", None) or 0
    return rank or int(os.environ.get("NODE_RANK", 0))


def of_all_ranks(value: _Value, gather: bool) -> list[_Value]:
    """The value of each rank; of this one alone without `gather`, with which all ranks have to call this."""
    if not (gather and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return [value]
    everyone: list[_Value] = [value] * dist.get_world_size()
    dist.all_gather_object(everyone, value)
    return everyone


def join_child_ranks(trainer: pl.Trainer | None, timeout: float) -> None:
    """Wait at most `timeout` seconds for the ranks that this process has started; kill those that are left then."""
    processes = child_ranks(trainer)
    deadline = time.monotonic() + timeout
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        else:
            if process.returncode == -signal.SIGBUS:
                _logger.error("a rank was %s", how_it_ended(process.returncode))


def kill_children(trainer: pl.Trainer | None) -> None:
    """Kill the ranks and the worker processes that this process has started."""
    for rank in child_ranks(trainer):
        rank.kill()
    for worker in multiprocessing.active_children():
        worker.kill()
