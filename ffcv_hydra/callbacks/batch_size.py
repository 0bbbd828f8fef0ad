"""How many samples the ranks process together in one batch."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor


def global_batch_size(trainer: pl.Trainer, batch: Any) -> int:
    """Return the samples in this rank's `batch` (its first tensor's length) times the number of ranks; 0 if unknown."""
    while isinstance(batch, (tuple, list)) and batch:
        batch = batch[0]
    if isinstance(batch, dict):
        batch = next(iter(batch.values()), None)
    return len(batch) * trainer.world_size if isinstance(batch, Tensor) and batch.ndim else 0
