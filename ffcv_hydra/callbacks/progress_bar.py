"""Progress on a terminal as a Rich bar, elsewhere as one line per epoch."""

import sys
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks.progress.rich_progress import (
    CustomBarColumn,
    CustomTimeColumn,
    ProcessingSpeedColumn,
    RichProgressBarTheme,
)
from rich import get_console
from rich.progress import ProgressColumn, Task
from rich.table import Column
from rich.text import Text

from ffcv_hydra.callbacks.batch_size import global_batch_size
from ffcv_hydra.callbacks.throughput import Throughput
from ffcv_hydra.callbacks.time_left import TimeLeft
from ffcv_hydra.lightning_internals import ProgressBarFromOne
from ffcv_hydra.printable import printable
from ffcv_hydra.process_memory import resident_memory
from ffcv_hydra.sizes import shown_size
from ffcv_hydra.sweeps.formats import duration

_OTHER_COLUMNS = 71
"""How wide all but the bar are: `Epoch 10/30  120/500  8,123 images/s  3.4 GB, 12% waiting  val_accuracy: 0.984`."""


class ProgressBar(ProgressBarFromOne):
    """Lightning's Rich progress bar, of images per second (over all ranks) and of the whole training.

    It shows how long the training will still take, all its epochs and validations included, the memory of this process
    (and of its GPU), and the share of the time in which the training has waited for data.

    Where standard output is no terminal (a file, a pipe, a job's log) it draws nothing and prints one line with the
    metrics after each epoch instead.

    Args:
        refresh_rate: drawings per second.
    """

    def __init__(self, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate, theme=RichProgressBarTheme(metrics_text_delimiter="\n"))
        self.lines = not sys.stdout.isatty()
        self.samples_per_batch = 0
        self._ended: tuple[int, float | None] | None = None  # an epoch that has, and the seconds left
        self.time_left = TimeLeft()

    @property
    def is_enabled(self) -> bool:
        return super().is_enabled and not self.lines

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Lightning's columns, those of speed and time replaced; the bar leaves room for the others."""
        columns = super().configure_columns(trainer)
        for column in columns:
            if isinstance(column, CustomBarColumn):
                column.bar_width = max(6, min(40, get_console().width - _OTHER_COLUMNS))
        speed = _ImagesPerSecondColumn(self)
        columns = [speed if isinstance(column, ProcessingSpeedColumn) else column for column in columns]
        return [column for column in columns if not isinstance(column, CustomTimeColumn)] + [_RunColumn(self, trainer)]

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Lightning's metrics without the version of the logger."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.time_left = TimeLeft()
        super().on_train_start(trainer, pl_module)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, *args: Any) -> None:
        self.time_left.begin_batch(trainer)
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
            self._ended = trainer.current_epoch + 1, self.time_left.seconds(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, *args: Any) -> None:
        self._print_line(trainer)
        super().on_train_epoch_start(trainer, *args)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._print_line(trainer)
        super().on_train_end(trainer, pl_module)

    def _print_line(self, trainer: pl.Trainer) -> None:
        """Tell of the epoch that has ended, once the model has logged in its own hook, too."""
        if self._ended is not None:
            (epoch, left), self._ended = self._ended, None
            more = f", {duration(left)} left" if left else ""
            print(printable(epoch_line(trainer, epoch) + more), flush=True)


class _ImagesPerSecondColumn(ProcessingSpeedColumn):
    def __init__(self, bar: ProgressBar) -> None:
        super().__init__(style=bar.theme.processing_speed)
        self._bar = bar

    def render(self, task: Task) -> Text:
        images = (task.speed or 0.0) * self._bar.samples_per_batch
        return Text(f"{images:,.0f} images/s", style=self.style)


class _RunColumn(ProgressColumn):
    """What is left of the training, memory, and the waiting for data; of another stage, what is left of that."""

    max_refresh = 0.5  # seconds

    def __init__(self, bar: ProgressBar, trainer: pl.Trainer) -> None:
        super().__init__(Column(no_wrap=True))
        self._bar, self._trainer = bar, trainer

    def render(self, task: Task) -> Text:
        if task.id != self._bar.train_progress_bar_id:
            left = None if self._trainer.state.fn == "fit" else task.time_remaining
            return Text("" if left is None else f"{duration(left)} left")
        left = self._bar.time_left.seconds(self._trainer)
        facts = [shown_size(resident_memory())]
        if self._trainer.strategy.root_device.type == "cuda":
            facts.append(f"GPU {shown_size(torch.cuda.memory_reserved(self._trainer.strategy.root_device))}")
        throughput = next((one for one in self._trainer.callbacks if isinstance(one, Throughput)), None)  # type: ignore[attr-defined]
        if throughput is not None and throughput.waiting is not None:
            facts.append(f"{throughput.waiting:.0%} waiting")
        return Text(("" if left is None else f"{duration(left)} left\n") + ", ".join(facts))


def epoch_line(trainer: pl.Trainer, epoch: int) -> str:
    """Return one line on an epoch, from 1 on: `epoch 3/10: train_loss 0.1234, val_loss 0.2345, 1,234 images/s`.

    Values of single classes, `val_f1/cat`, are left out.
    """
    epochs = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if "/" not in name}
    speed = metrics.pop(Throughput.METRIC, None)
    parts = [f"{name} {value:.4g}" for name, value in metrics.items()]
    if speed is not None:
        parts.append(f"{speed:,.0f} images/s")
    return f"epoch {epoch}{epochs}: {', '.join(parts)}"
