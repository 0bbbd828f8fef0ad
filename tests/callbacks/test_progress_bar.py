"""Progress on a terminal and elsewhere."""

import io
import re

import pytest
import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.progress import Progress, TextColumn
from torch.utils.data import DataLoader, TensorDataset

from ffcv_hydra.callbacks import ParameterSummary, ProgressBar, Throughput
from ffcv_hydra.models import AutoEncoder


def fit(bar):
    data = DataLoader(TensorDataset(torch.rand(24, 1, 2, 2)), batch_size=4)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_model_summary=False,
        num_sanity_val_steps=0, callbacks=[Throughput(warmup_batches=1), bar],
    )  # fmt: skip
    trainer.fit(AutoEncoder([1, 2, 2], 2, 1), data, data)
    return trainer


def test_without_a_terminal_there_is_one_line_per_epoch(capsys):
    fit(ProgressBar())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for number, line in enumerate(lines, 1):
        of_epoch, _, left = line.partition(" images/s")
        assert re.fullmatch(rf"epoch {number}/2: train_loss [\d.e-]+, val_loss [\d.e-]+, [\d,]+", of_epoch)
        assert re.fullmatch(r", \d+ s left" if number == 1 else "", left)
    assert "\x1b" not in "".join(lines)


def test_on_a_terminal_there_is_a_bar_with_images_per_second(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    bar = ProgressBar()
    trainer = fit(bar)
    assert bar.samples_per_batch == 4
    *_, column, _ = bar.configure_columns(trainer)
    progress = Progress(column)
    progress.add_task("train", total=10)
    monkeypatch.setattr(type(progress.tasks[0]), "speed", property(lambda task: 250.0))
    assert column.render(progress.tasks[0]).plain == "1,000 images/s"


def test_the_bar_tells_of_the_whole_run(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr(Throughput, "waiting", 0.25)
    bar = ProgressBar()
    trainer = fit(bar)
    of_run = bar.configure_columns(trainer)[-1]
    progress = Progress(of_run)
    for name in ("train", "val"):
        progress.add_task(name, total=10)
    train, other = progress.tasks
    bar.train_progress_bar_id = train.id
    monkeypatch.setattr(bar.time_left, "seconds", lambda trainer: 192.0)
    assert re.fullmatch(r"3:12 left\n[\d.]+ [MG]B, 25% waiting", of_run.render(train).plain)
    assert of_run.render(other).plain == ""


@pytest.mark.parametrize("width", [80, 100])
def test_at_usual_widths_nothing_of_the_bar_is_broken(monkeypatch, width):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    bar = ProgressBar()
    console = Console(width=width, file=io.StringIO())
    monkeypatch.setattr("ffcv_hydra.callbacks.progress_bar.get_console", lambda: console)
    trainer = fit(ProgressBar())
    monkeypatch.setattr(bar.time_left, "seconds", lambda trainer: 3787.0)
    columns = [column for column in bar.configure_columns(trainer) if type(column).__name__ != "_ImagesPerSecondColumn"]
    progress = Progress(*columns, TextColumn("8,123 images/s"), TextColumn("val_accuracy: 0.984"), console=console)
    bar.train_progress_bar_id = progress.add_task("Epoch 10/30", total=500)
    console.print(progress)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2
    assert "1:03:07 left" in lines[0] and "8,123 images/s" in lines[0] and "0.984" in lines[0] and "B" in lines[1]


def test_every_rank_reads_the_metrics_whose_reduction_needs_all_of_them(capsys):
    class RankOne:
        is_global_zero = False
        read = False

        @property
        def callback_metrics(self):
            self.read = True
            return {}

    trainer = RankOne()
    ProgressBar().on_train_epoch_end(trainer, None)
    assert trainer.read
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("batch", [torch.zeros(3, 2), (torch.zeros(3, 2), torch.zeros(3)), {"image": torch.zeros(3)}])
def test_batches_of_any_shape_are_counted(batch):
    from ffcv_hydra.callbacks.batch_size import global_batch_size

    trainer = type("Trainer", (), {"world_size": 2})
    assert global_batch_size(trainer, batch) == 6


def test_F56_the_bar_counts_epochs_from_1_as_lines_do(tmp_path):
    bar = ProgressBar()
    bar._trainer = pl.Trainer(max_epochs=10, logger=False, accelerator="cpu", enable_checkpointing=False)
    assert [bar._get_train_description(epoch).strip() for epoch in (0, 9)] == ["Epoch 1/10", "Epoch 10/10"]


def test_F56_a_summary_leaves_out_what_is_nothing(capsys):
    class Model(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer, self.nothing = torch.nn.Linear(10, 10), torch.nn.Identity()

    ParameterSummary().on_fit_start(pl.Trainer(logger=False, accelerator="cpu", enable_checkpointing=False), Model())
    printed = capsys.readouterr().out
    assert "layer" in printed and "110 parameters" in printed
    assert "nothing" not in printed and "FLOPs" not in printed
