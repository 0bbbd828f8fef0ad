"""Samples per second of the training."""

import itertools
import time

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from ffcv_hydra.callbacks import Throughput
from ffcv_hydra.models import AutoEncoder


class Clock:
    """Stands for `time`: each reading is one second later, each training batch takes one second."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


class Seconds(pl.Callback):
    def __init__(self, clock, first=1.0):
        self.clock, self.first = clock, first

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.clock.now += 1.0 if trainer.global_step else self.first

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        self.clock.now += 100.0


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    fake = type("fake_time", (), {"perf_counter": found.perf_counter, "monotonic": time.monotonic})
    monkeypatch.setattr("ffcv_hydra.callbacks.throughput.time", fake)
    return found


def fit(clock, throughput, **options):
    data = DataLoader(TensorDataset(torch.rand(24, 1, 2, 2)), batch_size=4)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=1, callbacks=[throughput, Seconds(clock, 1000.0)], **options,
    )  # fmt: skip
    trainer.fit(AutoEncoder([1, 2, 2], 2, 1), data, data)
    return trainer


def test_warmup_and_validation_are_not_counted(clock):
    throughput = Throughput(warmup_batches=2)
    trainer = fit(clock, throughput)
    assert throughput.samples_per_second == pytest.approx(4.0)
    assert trainer.callback_metrics["samples_per_second"] == pytest.approx(4.0)


def test_validation_within_an_epoch_is_not_counted(clock):
    throughput = Throughput(warmup_batches=1)
    fit(clock, throughput, val_check_interval=2)
    assert throughput.samples_per_second == pytest.approx(4.0)


def test_waiting_is_the_share_of_the_time_that_the_loader_was_waited_for(clock):
    class Data(DataLoader):
        seconds_waited = 0.0

    class Waits(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            data.seconds_waited += 0.25  # of the second that each batch takes
            seen.append(throughput.waiting)

    data, throughput = Data(TensorDataset(torch.rand(24, 1, 2, 2)), batch_size=4), Throughput(warmup_batches=2)
    seen = []
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[throughput, Seconds(clock, 1000.0), Waits()],
    )  # fmt: skip
    trainer.fit(AutoEncoder([1, 2, 2], 2, 1), data)
    assert throughput.waiting == pytest.approx(0.25)
    assert seen[0] is None and seen[3] == pytest.approx(0.25)


def test_a_loader_that_does_not_tell_leaves_the_waiting_unknown(clock):
    throughput = Throughput(warmup_batches=2)
    fit(clock, throughput)
    assert throughput.waiting is None


def test_a_run_of_nothing_but_warmup_has_no_speed(clock):
    throughput = Throughput(warmup_batches=12)
    trainer = fit(clock, throughput)
    assert throughput.samples_per_second is None
    assert "samples_per_second" not in trainer.callback_metrics


def test_a_run_that_ends_within_the_warmup_has_no_speed(clock, monkeypatch):
    readings = itertools.count()
    monkeypatch.setattr("ffcv_hydra.callbacks.throughput.time.perf_counter", lambda: float(next(readings)))
    throughput = Throughput(warmup_batches=5)
    fit(clock, throughput, max_steps=5)
    assert throughput.samples_per_second is None
