"""How far a run is, in a small file for those who look on from another process."""

import json
import math
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from ffcv_hydra.atomic_file import write_whole
from ffcv_hydra.callbacks.throughput import Throughput
from ffcv_hydra.callbacks.time_left import TimeLeft
from ffcv_hydra.lightning_internals import Callback


class ProgressFile(Callback):
    """Rank 0 writes a JSON file when the training starts and at the end of each epoch.

    It holds `epoch` (those done), `max_epochs` (null without a limit), `metrics` (floats by name),
    `samples_per_second` (of the last epoch), `seconds_left` (an estimate, null as long as there is none) and `time`
    (when it was written, in seconds since 1970).

    Args:
        path: of the file, which is replaced as a whole each time.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(os.path.expanduser(path))
        self._time_left = TimeLeft()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._time_left = TimeLeft()
        self._write(trainer, trainer.current_epoch)

    def on_train_batch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        self._time_left.begin_batch(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write(trainer, trainer.current_epoch + 1)

    def _write(self, trainer: pl.Trainer, epoch: int) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}  # on all ranks: reduced now
        if not trainer.is_global_zero:
            return
        last = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None
        contents = {
            "epoch": epoch,
            "max_epochs": last,
            "metrics": {name: value for name, value in metrics.items() if math.isfinite(value)},
            "samples_per_second": metrics.get(Throughput.METRIC),
            "seconds_left": self._time_left.seconds(trainer),
            "time": time.time(),
        }
        with suppress(OSError):  # who looks on knows less then, and the run goes on
            write_whole(self.path, json.dumps(contents) + "\n")
