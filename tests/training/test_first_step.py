"""What is said of the first batch that a model or a callback cannot take."""

import errno
import os
import re

import hydra
import pytest
import pytorch_lightning as pl
import torch
from standin_run import config

from ffcv_hydra.errors import ConfigError, WriteError
from ffcv_hydra.models import Classifier

pytestmark = pytest.mark.timeout(120)


class Wrong(Classifier):
    """Fails in one step, at a batch of it."""

    def __init__(self, step, batch=0, **options):
        super().__init__(**options)
        self.failing = step, batch

    def _maybe(self, step, batch, batch_idx):
        if (step, batch_idx) == self.failing:
            return batch[0] @ torch.zeros(7, 7)
        return getattr(super(), step)(batch, batch_idx)

    def training_step(self, batch, batch_idx):
        return self._maybe("training_step", batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        return self._maybe("validation_step", batch, batch_idx)

    def test_step(self, batch, batch_idx):
        return self._maybe("test_step", batch, batch_idx)

    def predict_step(self, batch, batch_idx):
        return self._maybe("predict_step", batch, batch_idx)


@pytest.mark.parametrize(
    ("step", "stage", "options"),
    [
        ("training_step", "train", {}),
        ("validation_step", "val", {}),
        ("test_step", "test", {"test_after_fit": True}),
        ("predict_step", "predict", {"mode": "predict"}),
    ],
)
def test_F43_what_a_model_raises_at_its_first_batch_is_one_line(train, result, tmp_path, step, stage, options):
    record = {"record": {"_target_": "standin_run.Record", "path": str(tmp_path / "batches")}}
    trainer = {**config()["trainer"], "num_sanity_val_steps": 1}
    wrong = {"_target_": "test_first_step.Wrong", "step": step}
    with pytest.raises(ConfigError) as caught:
        train(config(model=wrong, trainer=trainer, callbacks=record, **options), tmp_path)
    line = rf"Wrong\.{step} fails at its first batch: RuntimeError: .*\(.*test_first_step\.py:\d+\); pipeline\.{stage}"
    line += r" gives \[0\] float32 \(4, 1, 4, 4\), \[1\] int64 \(4, 1\): change .*"
    assert re.fullmatch(line, str(caught.value))
    assert result(tmp_path)["error"] == f"ConfigError: {caught.value}"
    assert "in _maybe" in (tmp_path / "run.log").read_text()
    batches = tmp_path / "batches.0"
    assert (batches.exists() and "train" in batches.read_text()) == (step == "test_step")


def test_F43_what_a_later_step_raises_is_passed_as_it_is(train, tmp_path):
    with pytest.raises(RuntimeError, match="shape"):
        train(config(model={"_target_": "test_first_step.Wrong", "step": "training_step", "batch": 1}), tmp_path)


class Raises(pl.Callback):
    """Raises an error in a hook of the first batch."""

    def __init__(self, hook, error):
        setattr(self, hook, self._raise)
        self.error = error

    def _raise(self, *args):
        raise self.error


@pytest.mark.parametrize("hook", ["on_train_batch_start", "on_before_backward", "on_train_batch_end"])
@pytest.mark.parametrize("kind", ["builtins.KeyError", "ffcv_hydra.errors.LoaderError"])
def test_F43_what_a_callback_raises_is_not_told_of_the_model(train, tmp_path, hook, kind):
    error = {"_target_": kind, "_args_": ["of the callback"]}
    with pytest.raises(hydra.utils.get_class(kind)) as caught:
        raises = {"_target_": "test_first_step.Raises", "hook": hook, "error": error}
        train(config(callbacks={"raises": raises}), tmp_path)
    assert caught.value.args == ("of the callback",)


@pytest.mark.parametrize(
    ("number", "path", "told"),
    [
        (errno.ENOENT, "run2/table.csv", False),  # beside the run's folder
        (errno.ENOENT, "run/table.csv", False),  # a reader's
        (errno.ENOSPC, None, False),  # of a disk that nothing is known of
        (errno.ENOSPC, "elsewhere/table.csv", True),
        (errno.EROFS, "run/table.csv", True),
    ],
)
def test_F33_that_a_file_cannot_be_written_is_said_of_writing_only(train, result, tmp_path, number, path, told):
    path = None if path is None else str(tmp_path / path)
    arguments = [number, os.strerror(number), *([] if path is None else [path])]
    raises = {"_target_": "test_first_step.Raises", "hook": "on_train_batch_end"}
    raises["error"] = {"_target_": "builtins.OSError", "_args_": arguments}
    with pytest.raises(WriteError if told else OSError) as caught:
        train(config(callbacks={"raises": raises}), tmp_path / "run")
    text = f"{path} cannot be written: {os.strerror(number)}" if told else str(OSError(*arguments))
    assert str(caught.value) == text
    assert text in result(tmp_path / "run")["error"]


def test_F43_what_our_models_take_is_said_with_what_the_data_give(train, tmp_path):
    model = {"_target_": "ffcv_hydra.models.AutoEncoder", "image_shape": [3, 32, 32]}
    takes = r"takes images of one shape, \[3, 32, 32\]; the data give \[1,4,4\]: set model\.image_shape=\[1,4,4\]"
    with pytest.raises(ConfigError, match=takes + r".*; pipeline\.train gives \[0\] float32 \(4, 1, 4, 4\)"):
        train({**config(), "model": model}, tmp_path)
