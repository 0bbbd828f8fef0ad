"""Progress on a terminal as a Rich bar with images per second, elsewhere as one line per epoch."""

import sys
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks.progress.rich_progress import ProcessingSpeedColumn
from rich.progress import Task
from rich.text import Text

from ffcv_hydra.callbacks.batch_size import global_batch_size
from ffcv_hydra.callbacks.throughput import Throughput
from ffcv_hydra.lightning_internals import ProgressBarFromOne
from ffcv_hydra.printable import printable


class ProgressBar(ProgressBarFromOne):
    """Lightning's Rich progress bar with images per second (over all ranks) in the place of batches per second.

    Where standard output is no terminal (a file, a pipe, a job's log) it draws nothing and prints one line with the
    metrics after each epoch instead.

    Args:
        refresh_rate: drawings per second.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate)
        self.lines = not sys.stdout.isatty()
        self.samples_per_batch = 0

    @property
    def is_enabled(self) -> bool:
        return super().is_enabled and not self.lines

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Lightning's columns, its speed column replaced."""
        speed = _ImagesPerSecondColumn(self)
        columns = super().configure_columns(trainer)
        return [speed if isinstance(column, ProcessingSpeedColumn) else column for column in columns]

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Lightning's metrics without the version of the logger."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, *args: Any) -> None:
        self.samples_per_batch = global_batch_size(trainer, batch)

    def on_validation_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, *args: Any) -> None:
        self.samples_per_batch = global_batch_size(trainer, batch)
        super().on_validation_batch_start(trainer, pl_module, batch, *args)

    def on_test_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, *args: Any) -> None:
        self.samples_per_batch = global_batch_size(trainer, batch)
        super().on_test_batch_start(trainer, pl_module, batch, *args)

    def on_predict_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, *args: Any) -> None:
        self.samples_per_batch = global_batch_size(trainer, batch)
        super().on_predict_batch_start(trainer, pl_module, batch, *args)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # On all ranks: what is not reduced yet is reduced when it is read, and a rank that reads alone waits for ever.
        _ = trainer.callback_metrics
        super().on_train_epoch_end(trainer, pl_module)
        if self.lines and super().is_enabled and trainer.is_global_zero:
            print(printable(epoch_line(trainer)), flush=True)


class _ImagesPerSecondColumn(ProcessingSpeedColumn):
    def __init__(self, bar: ProgressBar) -> None:
        super().__init__(style=bar.theme.processing_speed)
        self._bar = bar

    def render(self, task: Task) -> Text:
        images = (task.speed or 0.0) * self._bar.samples_per_batch
        return Text(f"{images:,.0f} images/s", style=self.style)


def epoch_line(trainer: pl.Trainer) -> str:
    """Return one line on the epoch that has ended: `epoch 3/10: train_loss 0.1234, val_loss 0.2345, 1,234 images/s`."""
    epochs = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    speed = metrics.pop(Throughput.METRIC, None)
    parts = [f"{name} {value:.4g}" for name, value in metrics.items()]
    if speed is not None:
        parts.append(f"{speed:,.0f} images/s")
    return f"epoch {trainer.current_epoch + 1}{epochs}: {', '.join(parts)}"
