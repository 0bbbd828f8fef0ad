"""What is taken from inside Lightning is still there, and does what is expected of it."""

import warnings
from pathlib import Path

import lightning_fabric
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint, RichProgressBar, WeightAveraging
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.plugins.environments import ClusterEnvironment
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader, TensorDataset

from ffcv_hydra import lightning_internals
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import AutoEncoder

pytestmark = pytest.mark.timeout(120)


def fit(*callbacks, max_epochs=1, **options):
    data = DataLoader(TensorDataset(torch.rand(16, 1, 2, 2)), batch_size=4)
    keeps = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    options = {"enable_checkpointing": keeps, "logger": False, **options}
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=max_epochs, enable_model_summary=False, num_sanity_val_steps=0,
        enable_progress_bar=any(isinstance(c, RichProgressBar) for c in callbacks), callbacks=list(callbacks),
        **options,
    )  # fmt: skip
    trainer.fit(AutoEncoder([1, 2, 2], 2, 1), data, data)
    return trainer


class Failing(pl.Callback):
    def on_train_batch_start(self, *args):
        raise RuntimeError("by a callback")


def test_an_error_of_a_callback_is_told_from_one_of_the_model(monkeypatch):
    with pytest.raises(RuntimeError) as raised:
        fit(Failing())
    assert lightning_internals.is_of_a_callback(raised.value)
    monkeypatch.setattr(AutoEncoder, "training_step", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError) as raised:
        fit()
    assert not lightning_internals.is_of_a_callback(raised.value)


class Looking(pl.Callback):
    def __init__(self):
        self.begun, self.resumable = [], []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.begun.append(("train", lightning_internals.begun_batches(trainer, "train")))
        self.resumable.append(lightning_internals.is_resumable(trainer, batch_idx))

    def on_validation_batch_end(self, trainer, *args):
        self.begun.append(("val", lightning_internals.begun_batches(trainer, "val")))


def test_batches_are_counted_and_boundaries_known():
    look = Looking()
    trainer = fit(look, val_check_interval=2, limit_val_batches=1, max_epochs=1)
    assert look.begun == [("train", 1), ("train", 2), ("val", 1), ("train", 3), ("train", 4), ("val", 1)]
    assert look.resumable == [True, False, True, False]  # a validation comes after the others
    assert lightning_internals.child_ranks(trainer) == lightning_internals.child_ranks(None) == []
    assert isinstance(lightning_internals.cluster_environment(trainer), ClusterEnvironment)
    lightning_internals.dismiss_observer(trainer)


def test_a_checkpoint_of_a_validation_begins_it_anew():
    checkpoints = []

    class Saving(pl.Callback):
        def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx):
            if batch_idx == 2:
                checkpoints.append(trainer._checkpoint_connector.dump_checkpoint())

    fit(Saving())
    lightning_internals.validate_anew(checkpoints[0])
    progress = checkpoints[0]["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
    assert progress["current"] == {"ready": 1, "started": 1, "processed": 0, "completed": 0}


class Resuming(pl.LightningDataModule):
    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.rand(16, 1, 2, 2)), batch_size=4)

    def load_state_dict(self, state):
        lightning_internals.go_on_where_it_ended(self.trainer)


@pytest.mark.parametrize(("max_steps", "rest"), [(2, [3, 4]), (4, [])])
def test_a_run_that_was_ended_goes_on_at_its_next_batch(tmp_path, max_steps, rest):
    path, look = tmp_path / "a.ckpt", Looking()
    fit(max_steps=max_steps, max_epochs=-1).save_checkpoint(path)
    torch.save(torch.load(path, weights_only=False) | {"Resuming": {"": 0}}, path)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_model_summary=False, enable_checkpointing=False,
        enable_progress_bar=False, callbacks=[look], max_steps=8,
    )  # fmt: skip
    trainer.fit(AutoEncoder([1, 2, 2], 2, 1), datamodule=Resuming(), ckpt_path=path, weights_only=False)
    assert [number for _, number in look.begun] == [*rest, 1, 2, 3, 4]


def test_the_last_checkpoint_is_of_the_last_step(tmp_path):
    fit(lightning_internals.ModelCheckpoint(tmp_path, save_last=True, monitor="val_loss"), max_epochs=2, max_steps=7)
    assert torch.load(tmp_path / "last.ckpt", weights_only=False)["global_step"] == 7


def test_a_metric_that_is_not_there_is_a_misconfiguration(tmp_path):
    with pytest.raises(ConfigError, match="monitor=val_nothing .* was not logged; the run logged .*val_loss"):
        fit(lightning_internals.ModelCheckpoint(tmp_path, monitor="val_nothing"))
    with pytest.raises(MisconfigurationException, match="val_nothing"):
        fit(lightning_internals.EarlyStopping("val_nothing"))


def test_a_bar_counts_epochs_from_one(monkeypatch):
    told = []

    class Bar(lightning_internals.ProgressBarFromOne):
        def _get_train_description(self, current_epoch):
            told.append(super()._get_train_description(current_epoch))
            return told[-1]

    fit(Bar(), max_epochs=2)
    assert {text.strip() for text in told} == {"Epoch 1/2", "Epoch 2/2"}


def test_what_is_left_out_of_the_log_is_still_said():
    folders = [Path(library.__file__).parent for library in (pl, lightning_fabric)]
    sources = "\n".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    written = [text.replace("`Trainer.fit` stopped: ", "") for text in lightning_internals.CHATTER]
    bulb = "\N{ELECTRIC LIGHT BULB}"
    assert [text for text in written if text.replace(bulb, "").strip() not in sources] == []


def test_an_average_can_be_moved():
    averaging = WeightAveraging()
    lightning_internals.move_average(averaging, torch.device("cpu"))  # there is none yet
    averaging.setup(pl.Trainer(accelerator="cpu", logger=False), AutoEncoder([1, 2, 2], 2, 1), "fit")
    lightning_internals.move_average(averaging, torch.device("meta"))
    assert {value.device.type for value in averaging._average_model.state_dict().values()} == {"meta"}


class Rates(pl.Callback):
    def __init__(self):
        self.found = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.is_last_batch:
            lightning_internals.take_learning_rates(trainer)
            self.found.append((batch_idx, float(trainer.callback_metrics["lr-SGD"])))


def test_the_learning_rate_is_that_of_the_last_batch_of_an_epoch(tmp_path, monkeypatch):
    def optimizers(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=8.0)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    monkeypatch.setattr(AutoEncoder, "configure_optimizers", optimizers)
    rates = Rates()
    monitor = LearningRateMonitor(logging_interval="step")
    fit(monitor, rates, max_epochs=2, logger=CSVLogger(tmp_path), limit_train_batches=2, limit_val_batches=0)
    assert rates.found == [(1, 4.0), (1, 1.0)]


def test_what_is_right_is_no_warning(tmp_path):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        lightning_internals.hide_chatter(fits=False)
        trainer = fit(WeightAveraging(), logger=CSVLogger(tmp_path), default_root_dir=tmp_path)
        trainer.save_checkpoint(tmp_path / "a.ckpt")
        data = DataLoader(TensorDataset(torch.rand(4, 1, 2, 2)), batch_size=4)
        pl.Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path).validate(
            AutoEncoder([1, 2, 2], 2, 1), data, ckpt_path=tmp_path / "a.ckpt", weights_only=False
        )
    texts = [str(warning.message) for warning in told]
    assert not [text for text in texts if "following callbacks" in text or "logging interval" in text]
