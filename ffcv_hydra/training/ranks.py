"""The processes of a distributed run."""

import atexit
import itertools
import logging
import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytorch_lightning as pl
import torch.distributed as dist
from pytorch_lightning.utilities import rank_zero_only

from ffcv_hydra.lightning_internals import child_ranks
from ffcv_hydra.process_ends import how_it_ended
from ffcv_hydra.torch_internals import store_of_ranks

_FOLDER_VARIABLE = "FFCV_HYDRA_RUN_FOLDER"  # for the ranks that Lightning starts, "<number of the training>:<folder>"

_logger = logging.getLogger(__name__)
_trainings = itertools.count(1)
_Value = TypeVar("_Value")


def global_rank() -> int:
    """Return this process's rank, also before there is a trainer; 0 where there is a single process.

    The ranks that Lightning starts, `torchrun` and SLURM say theirs in the environment. Of the processes that a user
    starts by hand, one per node with `NODE_RANK`, the later ones are counted as their node's rank.
    """
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank()
    rank: int = getattr(rank_zero_only, "rank", None) or 0
    return rank or int(os.environ.get("NODE_RANK", 0))


def folder_of_all_ranks(folder: Path) -> Path:
    """Return rank 0's folder for the next training of this program.

    Each rank may have chosen a folder of its own. All have to call this once per training: by their number they know
    which one they speak of. A rank that can ask no other keeps its folder.
    """
    shared = _shared(folder)
    if shared != folder:
        with suppress(OSError):
            folder.rmdir()  # Hydra has made it
    return shared


def _shared(folder: Path) -> Path:
    number, rank = next(_trainings), global_rank()
    store, key = store_of_ranks(), f"ffcv_hydra/run_folder/{number}"
    if rank == 0:
        os.environ[_FOLDER_VARIABLE] = f"{number}:{folder}"
        if store is not None:
            store.set(key, str(folder))
        return folder
    if store is not None:
        return Path(store.get(key).decode())
    told_of, _, told = os.environ.get(_FOLDER_VARIABLE, "").partition(":")
    return Path(told) if told_of == str(number) else folder


def of_all_ranks(value: _Value, gather: bool) -> list[_Value]:
    """The value of each rank; of this one alone without `gather`, with which all ranks have to call this."""
    if not (gather and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return [value]
    everyone: list[_Value] = [value] * dist.get_world_size()
    dist.all_gather_object(everyone, value)
    return everyone


def join_child_ranks(trainer: pl.Trainer | None, timeout: float) -> None:
    """Wait at most `timeout` seconds for the ranks that this process has started; kill those that are left then."""
    _join(child_ranks(trainer), timeout)


def join_child_ranks_at_exit(trainer: pl.Trainer, timeout: float) -> None:
    """The same when this program ends: its ranks may still have something to do, such as the next training."""
    if processes := child_ranks(trainer):
        atexit.register(_join, processes, timeout)


def _join(processes: Sequence["subprocess.Popen[bytes]"], timeout: float) -> None:
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
