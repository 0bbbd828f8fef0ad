"""How far a run is, in a small file for those who look on from another process."""

import json
import math
import os
import time
from contextlib import suppress
from pathlib import Path

import pytorch_lightning as pl

from ffcv_hydra.atomic_file import write_whole
from ffcv_hydra.callbacks.throughput import Throughput


class ProgressFile(pl.Callback):
    """Rank 0 writes a JSON file when the training starts and at the end of each epoch.

    It holds `epoch` (those done), `max_epochs` (null without a limit), `metrics` (floats by name),
    `samples_per_second` (of the last epoch), `seconds_left` (an estimate, null as long as there is none) and `time`
    (when it was written, in seconds since 1970).

    Args:
        path: of the file, which is replaced as a whole each time.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(os.path.expanduser(path))
        self._started_at = 0.0
        self._first_epoch = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started_at, self._first_epoch = time.monotonic(), trainer.current_epoch
        self._write(trainer, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write(trainer, trainer.current_epoch + 1)

    def _write(self, trainer: pl.Trainer, epoch: int) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}  # on all ranks: reduced now
        if not trainer.is_global_zero:
            return
        last = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
        done = epoch - self._first_epoch
        left = None
        if last is not None and done:
            left = (time.monotonic() - self._started_at) / done * max(0, last - epoch)
        contents = {
            "epoch": epoch,
            "max_epochs": last,
            "metrics": {name: value for name, value in metrics.items() if math.isfinite(value)},
            "samples_per_second": metrics.get(Throughput.METRIC),
            "seconds_left": left,
            "time": time.time(),
        }
        with suppress(OSError):  # who looks on knows less then, and the run goes on
            write_whole(self.path, json.dumps(contents) + "\n")
