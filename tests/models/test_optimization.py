"""Optimizers and schedules from plain dictionaries."""

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import AutoEncoder

COSINE = {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "T_max": "total"}
SGD = {"_target_": "torch.optim.SGD", "lr": 1.0}


class RecordRates(pl.Callback):
    def __init__(self):
        self.rates = []

    def on_train_batch_start(self, trainer, *_):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def fit(scheduler, optimizer=SGD, batches=6, epochs=2, **trainer_options):
    """Train without effect on the weights' meaning; return the learning rate of every batch."""
    images = torch.zeros(batches * 2, 1, 2, 2)
    model = AutoEncoder([1, 2, 2], 2, 1, optimizer=optimizer, scheduler=scheduler)
    recorder = RecordRates()
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[recorder],
        enable_progress_bar=False, enable_model_summary=False, **trainer_options,
    )  # fmt: skip
    trainer.fit(model, DataLoader(TensorDataset(images), batch_size=2))
    return recorder.rates


def test_no_schedule_keeps_the_rate():
    assert set(fit(None)) == {1.0}


def test_total_is_the_true_number_of_steps():
    rates = fit({"_target_": "torch.optim.lr_scheduler.LinearLR", "start_factor": 1.0, "end_factor": 0.0,
                 "total_iters": "total", "interval": "step"})  # fmt: skip
    assert rates == pytest.approx([1 - step / 12 for step in range(12)])


def test_total_counts_optimizer_steps_not_batches():
    rates = fit({"_target_": "torch.optim.lr_scheduler.LinearLR", "start_factor": 1.0, "end_factor": 0.0,
                 "total_iters": "total", "interval": "step"}, accumulate_grad_batches=3)  # fmt: skip
    assert rates[-1] == pytest.approx(1 - 3 / 4)


def test_total_of_an_epoch_schedule_counts_epochs():
    rates = fit(COSINE, epochs=2)
    assert rates == pytest.approx([1.0] * 6 + [0.5] * 6)


def test_one_cycle_fits_the_run_exactly():
    rates = fit({"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 1.0, "total_steps": "total",
                 "interval": "step"})  # fmt: skip
    assert max(rates) > 0.99
    assert rates[-1] < 0.01


@pytest.mark.parametrize("warmup", [3, 0.25])
def test_warmup_rises_linearly_and_the_schedule_gets_the_rest(warmup):
    rates = fit({"_target_": "torch.optim.lr_scheduler.LinearLR", "start_factor": 1.0, "end_factor": 0.0,
                 "total_iters": "total", "interval": "step", "warmup": warmup})  # fmt: skip
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[3:] == pytest.approx([1 - step / 9 for step in range(9)])


def test_plateau_needs_its_metric():
    with pytest.raises(ConfigError, match="monitor"):
        fit({"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau"})


def test_plateau_watches_its_metric():
    rates = fit({"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "monitor": "train_loss", "patience": 0,
                 "threshold": 1e9, "threshold_mode": "abs"}, epochs=3)  # fmt: skip
    assert rates[0] == 1.0
    assert rates[-1] < 1.0


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({"_target_": "torch.optim.Sgd"}, "torch.optim.Sgd"),
        ({"_target_": "no_such_module.Sgd"}, "no_such_module"),
        ({"lr": 1.0}, "no _target_"),
        ({"_target_": "torch.optim.SGD", "learning_rate": 1.0}, "learning_rate"),
    ],
)
def test_a_wrong_optimizer_is_named(optimizer, message):
    with pytest.raises(ConfigError, match=message):
        fit(None, optimizer=optimizer)


def test_unknown_interval_is_named():
    with pytest.raises(ConfigError, match="interval='batch'"):
        fit({"_target_": "torch.optim.lr_scheduler.ConstantLR", "interval": "batch"})


def test_a_run_without_an_end_has_no_total():
    with pytest.raises(ConfigError, match="without an end"):
        fit(COSINE, epochs=-1, max_time="00:00:00:01")


def test_a_run_of_one_step_needs_no_warmup_of_a_share():
    assert fit({**COSINE, "interval": "step", "warmup": 0.05}, fast_dev_run=True) == [1.0]


def test_a_warmup_longer_than_the_run_is_refused():
    with pytest.raises(ConfigError, match="only 12 steps"):
        fit({**COSINE, "interval": "step", "warmup": 12})
