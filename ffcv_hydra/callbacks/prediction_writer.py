"""Predictions of all ranks in one file."""

import os
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, distributed

from ffcv_hydra.atomic_file import save_whole
from ffcv_hydra.errors import ConfigError, LoaderError

Predictions = dict[str, Tensor]  # a tensor that is no entry of a dictionary is called by no name


class PredictionWriter(pl.Callback):
    """Writes what `predict_step` returns to one file, with the samples' ids, in the dataset's order.

    The file holds `{"sample_ids": int64 (N,), "predictions": (N, ...)}`, or a dictionary of such tensors where
    `predict_step` returns one; `torch.load(path, weights_only=True)` opens it. Every sample is there once. Predictions
    wait in memory, on the CPU, and rank 0 gathers them when the last batch is done; the file appears when it is whole.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.expanduser(path))
        self._batches: list[tuple[Tensor, Predictions]] = []

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check that the loader knows the ids; raises `LoaderError` if it does not."""
        self._batches = []
        if not hasattr(trainer.predict_dataloaders, "sample_ids"):
            raise LoaderError(
                f"predictions need the ids of their samples: {type(trainer.predict_dataloaders).__name__} has no"
                " sample_ids(batch_index); predict with the loader of FFCVDataModule"
            )

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        loader: Any = trainer.predict_dataloaders
        sample_ids = torch.as_tensor(loader.sample_ids(batch_idx), dtype=torch.int64)
        predictions = _to_cpu(outputs)
        for tensor in predictions.values():
            if tensor.ndim == 0 or len(tensor) != len(sample_ids):
                raise ConfigError(
                    f"{type(pl_module).__name__}.predict_step returned a tensor {tuple(tensor.shape)} for"
                    f" {len(sample_ids)} samples; return one row per sample"
                )
        self._batches.append((sample_ids, predictions))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gather on rank 0 and write there; every rank takes part."""
        batches, self._batches = _gather(self._batches), []
        if trainer.is_global_zero and batches:
            save_whole(_in_order(batches), self.path)
        trainer.strategy.barrier("predictions")


def _to_cpu(outputs: Any) -> Predictions:
    named = outputs if isinstance(outputs, dict) else {"": outputs}
    if not named or not all(isinstance(value, Tensor) for value in named.values()):
        raise ConfigError(f"predict_step returned {type(outputs).__name__}; return a tensor or a dictionary of tensors")
    return {name: value.detach().cpu() for name, value in named.items()}


def _gather(batches: list[tuple[Tensor, Predictions]]) -> list[tuple[Tensor, Predictions]]:
    """On rank 0 the batches of all ranks, batch by batch so that no message grows with the dataset; else nothing."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return batches
    group = cast("distributed.ProcessGroup", distributed.new_group(backend="gloo"))
    lengths: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(lengths, len(batches), group)
    is_first = distributed.get_rank() == 0
    gathered: list[tuple[Tensor, Predictions]] = []
    for index in range(max(lengths)):
        received: list[Any] | None = [None] * len(lengths) if is_first else None
        own = batches[index] if index < len(batches) else None
        distributed.gather_object(own, received, 0, group)
        gathered += [batch for batch in received or [] if batch is not None]
    distributed.destroy_process_group(group)
    return gathered


def _in_order(batches: list[tuple[Tensor, Predictions]]) -> dict[str, Any]:
    sample_ids, first = torch.unique(torch.cat([ids for ids, _ in batches]), return_inverse=True)
    order = torch.empty_like(sample_ids)
    order[first] = torch.arange(len(first))
    values = [predictions for _, predictions in batches]
    stacked = {name: torch.cat([value[name] for value in values])[order] for name in values[0]}
    return {"sample_ids": sample_ids, "predictions": stacked.get("", stacked)}
