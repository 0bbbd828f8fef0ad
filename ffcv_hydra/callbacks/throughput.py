"""Samples per second of the training, and how much of its time goes into waiting for data."""

import time
from typing import Any

import pytorch_lightning as pl
import torch

from ffcv_hydra.callbacks.batch_size import global_batch_size
from ffcv_hydra.lightning_internals import Callback


class Throughput(Callback):
    """Measures training samples per second over all ranks, without the first batches and without validation.

    Logs `samples_per_second` of each epoch at its end; afterwards `samples_per_second` is that of the whole run, and
    `waiting` the share of that time in which this rank waited for its `Loader`. An epoch that lies within the warm-up
    as a whole is not logged. Time is taken where the GPU has caught up, a few times per epoch, so measuring does not
    slow the training down.

    Args:
        warmup_batches: first training batches that are left out: they compile kernels and fill caches.
    """

    METRIC = "samples_per_second"

    def __init__(self, warmup_batches: int = 5) -> None:
        self.warmup_batches = warmup_batches
        self._batches = 0
        self._started_at: float | None = None
        self._loader: Any = None
        self._waited_before = self._waited = self._timed = 0.0
        self._epoch_samples = self._run_samples = 0
        self._epoch_seconds = self._run_seconds = 0.0

    @property
    def samples_per_second(self) -> float | None:
        """Of all training so far; None as long as there is nothing but warm-up."""
        return self._run_samples / self._run_seconds if self._run_samples and self._run_seconds else None

    @property
    def waiting(self) -> float | None:
        """Of the time of all training so far, from 0 to 1; None where it is not known."""
        timed, waited, started_at = self._timed, self._waited, self._started_at
        if started_at is not None:  # read once: the bar asks from a thread of its own
            timed += time.perf_counter() - started_at
            waited += self._seconds_waited() - self._waited_before
        return min(1.0, waited / timed) if timed and hasattr(self._loader, "seconds_waited") else None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch_samples, self._epoch_seconds = 0, 0.0
        if self._batches >= self.warmup_batches:
            self._start(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batches += 1
        if self._started_at is not None:
            self._epoch_samples += global_batch_size(trainer, batch)
        elif self._batches >= self.warmup_batches:
            self._start(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._pause(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking and self._batches >= self.warmup_batches:
            self._start(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._finish_epoch(trainer)
        if self._epoch_seconds and self._epoch_samples:
            pl_module.log(self.METRIC, self._epoch_samples / self._epoch_seconds, sync_dist=True)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._finish_epoch(trainer)

    def _finish_epoch(self, trainer: pl.Trainer) -> None:
        self._pause(trainer)
        self._run_samples += self._epoch_samples
        self._run_seconds += self._epoch_seconds

    def _start(self, trainer: pl.Trainer) -> None:
        _wait_for_device(trainer)
        self._loader = trainer.train_dataloader
        self._waited_before = self._seconds_waited()
        self._started_at = time.perf_counter()

    def _pause(self, trainer: pl.Trainer) -> None:
        if self._started_at is not None:
            _wait_for_device(trainer)
            seconds = time.perf_counter() - self._started_at
            self._epoch_seconds += seconds
            self._timed += seconds
            self._started_at = None
            self._waited += self._seconds_waited() - self._waited_before

    def _seconds_waited(self) -> float:
        return getattr(self._loader, "seconds_waited", 0.0)


def _wait_for_device(trainer: pl.Trainer) -> None:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        torch.cuda.synchronize(device)
