"""Predictions of all ranks: in one file of tensors, and as a table."""

import os
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, distributed

from ffcv_hydra.atomic_file import save_whole
from ffcv_hydra.callbacks.prediction_table import prediction_columns, write_table
from ffcv_hydra.errors import ConfigError, LoaderError
from ffcv_hydra.lightning_internals import Callback

CLASS_NAMES = "ffcv_hydra.class_names"
"""Under which a checkpoint has what the training's classes are called, by number."""

Predictions = dict[str, Tensor]  # a tensor that is no entry of a dictionary is called by no name
Batch = tuple[Tensor, Predictions, Tensor | None]  # ids, predictions and labels


class PredictionWriter(Callback):
    """Writes what `predict_step` returns, with the samples' ids, in the dataset's order.

    The file holds `{"sample_ids": int64 (N,), "predictions": (N, ...)}`, or a dictionary of such tensors where
    `predict_step` returns one; `torch.load(path, weights_only=True)` opens it. Every sample is there once. Beside it
    stands a CSV of the same name (and a Parquet file where pyarrow is installed), see `prediction_columns`: with the
    samples' names and, if the batch's second output is one row of numbers per sample, its true labels. Predictions
    wait in memory, on the CPU, and rank 0 gathers them when the last batch is done; a file appears when it is whole.
    What is predicted has the names of the classes that the checkpoint was trained on, labels those of the data.

    Args:
        path: the file, such as `predictions.pt`.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.expanduser(path))
        self._batches: list[Batch] = []
        self._learnt: list[str] | None = None

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._learnt = checkpoint.get(CLASS_NAMES)

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
        self._batches.append((sample_ids, predictions, _labels(batch, len(sample_ids))))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gather on rank 0 and write there; every rank takes part."""
        batches, self._batches = _gather(self._batches), []
        if trainer.is_global_zero and batches:
            sample_ids, predictions, labels = _in_order(batches)
            save_whole({"sample_ids": sample_ids, "predictions": predictions.get("", predictions)}, self.path)
            loader: Any = trainer.predict_dataloaders
            name_of = getattr(loader, "sample_name", lambda sample: None)  # what a loader of ours has more than others
            names = [name_of(sample) for sample in sample_ids.tolist()]
            found = getattr(loader, "class_names", None)
            columns = prediction_columns(sample_ids, names, predictions, labels, self._learnt or found, found)
            write_table(columns, self.path.with_suffix(".csv"))
        trainer.strategy.barrier("predictions")


def _labels(batch: Any, num_samples: int) -> Tensor | None:
    """The second output of a batch, if it may be labels: (N,), or (N, K) with a number for each of K classes."""
    labels = batch[1] if isinstance(batch, (tuple, list)) and len(batch) > 1 else None
    if not isinstance(labels, Tensor) or labels.ndim not in (1, 2) or len(labels) != num_samples:
        return None
    return labels.detach().cpu()


def _to_cpu(outputs: Any) -> Predictions:
    named = outputs if isinstance(outputs, dict) else {"": outputs}
    if not named or not all(isinstance(value, Tensor) for value in named.values()):
        raise ConfigError(f"predict_step returned {type(outputs).__name__}; return a tensor or a dictionary of tensors")
    return {name: value.detach().cpu() for name, value in named.items()}


def _gather(batches: list[Batch]) -> list[Batch]:
    """On rank 0 the batches of all ranks, batch by batch so that no message grows with the dataset; else nothing."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return batches
    group = cast("distributed.ProcessGroup", distributed.new_group(backend="gloo"))
    lengths: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(lengths, len(batches), group)
    is_first = distributed.get_rank() == 0
    gathered: list[Batch] = []
    for index in range(max(lengths)):
        received: list[Any] | None = [None] * len(lengths) if is_first else None
        own = batches[index] if index < len(batches) else None
        distributed.gather_object(own, received, 0, group)
        gathered += [batch for batch in received or [] if batch is not None]
    distributed.destroy_process_group(group)
    return gathered


def _in_order(batches: list[Batch]) -> Batch:
    sample_ids, first = torch.unique(torch.cat([ids for ids, _, _ in batches]), return_inverse=True)
    order = torch.empty_like(sample_ids)
    order[first] = torch.arange(len(first))
    values = [predictions for _, predictions, _ in batches]
    stacked = {name: torch.cat([value[name] for value in values])[order] for name in values[0]}
    labels = [found for _, _, found in batches if found is not None]
    return sample_ids, stacked, torch.cat(labels)[order] if len(labels) == len(batches) else None
