"""What a loader warns of once in a process."""

import functools
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import torch

from ffcv_hydra.beton import Beton
from ffcv_hydra.looks import is_only_looked_at
from ffcv_hydra.pipeline import DISABLED

logger = logging.getLogger(__name__)

_TOLD: set[tuple[str, ...]] = set()


def tell_of_left_out(beton: Beton, pipelines: Any) -> None:
    """Warn of fields that only some members of a mixture have, unless a pipeline says that they are left out."""
    disabled = pipelines if isinstance(pipelines, Mapping) else {}
    told = {name: path for name, path in beton.left_out.items() if disabled.get(name) != DISABLED}
    if told and tuple(told) not in _TOLD:
        _TOLD.add(tuple(told))  # the splits of a run have the same fields
        logger.warning(
            "fields that not all members of the mixture have are left out: %s; a fill value gives a number where there"
            " is none, and the pipeline '%s' says that a field is not wanted",
            ", ".join(f"{name} (not in {path})" for name, path in told.items()), DISABLED,
        )  # fmt: skip


_SPLIT = "give the loader its rank and world_size, or let FFCVDataModule make it, without is_dist=False"


def tell_of_ranks(loader: Any, advice: str = _SPLIT) -> None:
    """Warn if a loader of one rank is read by more, and not only looked at; `advice` says how it is split."""
    if not is_only_looked_at(loader) and loader.world_size == 1:
        tell_of_whole_reads(advice)


def tell_of_whole_reads(advice: str) -> None:
    """Warn if there are several ranks, each of which is about to read all samples."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        warn_of_whole_reads(torch.distributed.get_rank(), torch.distributed.get_world_size(), advice)


@functools.cache
def warn_of_whole_reads(rank: int, world_size: int, advice: str) -> None:
    """Warn that a loader which knows of no ranks reads all samples on each."""
    if rank == 0 and world_size > 1:
        warnings.warn(f"each of {world_size} ranks reads all samples: {advice}", stacklevel=5)
