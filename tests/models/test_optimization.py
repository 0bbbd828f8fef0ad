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


def fit(scheduler, optimizer=SGD, batches=6, epochs=2, save=None, ckpt_path=None, **trainer_options):
    """Train without effect on the weights' meaning; return the learning rate of every batch."""
    images = torch.zeros(batches * 2, 1, 2, 2)
    model = AutoEncoder([1, 2, 2], 2, 1, optimizer=optimizer, scheduler=scheduler)
    recorder = RecordRates()
    callbacks = [recorder] if save is None else [recorder, save]
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=save is not None, callbacks=callbacks,
        enable_progress_bar=False, enable_model_summary=False, **trainer_options,
    )  # fmt: skip
    trainer.fit(model, DataLoader(TensorDataset(images), batch_size=2), ckpt_path=ckpt_path)
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


def resumed(tmp_path, scheduler, epochs, then, optimizer=SGD, scheduler_then=None, optimizer_then=None):
    """The rates of every batch of a run that resumes one of `epochs` epochs with what is given then."""
    fit(scheduler, optimizer, epochs=epochs, save=pl.callbacks.ModelCheckpoint(tmp_path, save_last=True))
    return fit(scheduler_then or scheduler, optimizer_then or optimizer, epochs=then, ckpt_path=tmp_path / "last.ckpt")


WARM_COSINE = {**COSINE, "interval": "step", "warmup": 0.25}
ONE_CYCLE = {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 1.0, "total_steps": "total",
             "interval": "step"}  # fmt: skip


@pytest.mark.parametrize("scheduler", [COSINE, {**COSINE, "interval": "step"}, WARM_COSINE, ONE_CYCLE])
def test_a_longer_run_follows_a_schedule_of_its_own_length(tmp_path, scheduler):
    rest = resumed(tmp_path, scheduler, epochs=2, then=4)
    assert rest == pytest.approx(fit(scheduler, epochs=4)[12:], abs=1e-12)


def test_a_run_of_the_same_length_goes_on_as_if_never_cut(tmp_path):
    save = pl.callbacks.ModelCheckpoint(tmp_path, every_n_epochs=1, save_top_k=-1, filename="{epoch}")
    whole = fit(WARM_COSINE, epochs=2, save=save)
    assert fit(WARM_COSINE, epochs=2, ckpt_path=tmp_path / "epoch=0.ckpt") == whole[6:]


def test_a_resumed_run_takes_the_rate_and_options_that_it_is_given(tmp_path):
    step = {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1, "gamma": 0.5}
    rest = resumed(tmp_path, step, 1, 2, scheduler_then={**step, "gamma": 0.1}, optimizer_then={**SGD, "lr": 2.0})
    assert rest == pytest.approx([0.2] * 6)


def groups_of(optimizer):
    module = AutoEncoder([1, 2, 2], 2, 1, optimizer=optimizer, scheduler=None)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    groups = module.configure_optimizers().param_groups
    return [({names[id(p)] for p in group["params"]}, group["lr"], group["weight_decay"]) for group in groups]


def test_groups_have_options_of_their_own():
    biases, others = groups_of({**SGD, "weight_decay": 0.1, "groups": [{"match": r"bias$", "weight_decay": 0.0}]})
    assert all(name.endswith("bias") for name in biases[0]) and biases[1:] == (1.0, 0.0)
    assert others[0] and not any(name.endswith("bias") for name in others[0]) and others[1:] == (1.0, 0.1)


def test_a_group_that_nothing_matches_is_refused():
    with pytest.raises(ConfigError, match="no parameter's name has 'bn' in it"):
        groups_of({**SGD, "groups": [{"match": "bn", "lr": 2.0}]})


def test_null_takes_back_what_another_config_gives():
    assert groups_of({**SGD, "weight_decay": None, "betas": None})[0][2] == 0
