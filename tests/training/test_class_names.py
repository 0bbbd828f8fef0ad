"""Checkpoints know the training's classes, and data with other ones are told or refused."""

import logging

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from ffcv_hydra import FFCVDataModule, FFCVPipelineManager
from ffcv_hydra.beton import write_beton
from ffcv_hydra.callbacks import PredictionWriter, StopSignals
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import Classifier
from ffcv_hydra.operations import CenterCrop, DivideImage255, ToTensor, ToTorchImage
from ffcv_hydra.training.build import build_callbacks
from ffcv_hydra.training.class_names import ClassNames

PIPELINE = {"image": [CenterCrop(8), ToTensor(), ToTorchImage(), DivideImage255()]}


class Pictures(list):
    def __init__(self, classes):
        super().__init__((Image.new("RGB", (8, 8)), number) for number in range(3))
        self.classes = classes


@pytest.fixture
def data(tmp_path):
    def make(*classes):
        path = tmp_path / f"{'-'.join(classes)}.beton"
        write_beton(Pictures(classes), path)
        stages = {f"{stage}_manager": FFCVPipelineManager(path, PIPELINE) for stage in ("train", "val", "predict")}
        return FFCVDataModule(3, num_workers=1, seed=1, **stages)

    return make


def trainer(*callbacks):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return pl.Trainer(accelerator="cpu", max_epochs=1, enable_checkpointing=False, callbacks=list(callbacks), **quiet)


@pytest.fixture
def model():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3))
    return Classifier(network, 3, {"_target_": "torch.optim.SGD", "lr": 0.1})


@pytest.fixture
def checkpoint(data, model, tmp_path):
    fitted = trainer(ClassNames())
    fitted.fit(model, data("cat", "dog", "eel"))
    fitted.save_checkpoint(tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt"


def test_classes_with_other_numbers_are_refused_and_other_names_are_told(data, model, checkpoint, caplog):
    def validate(*classes):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "ffcv_hydra"):
            trainer(ClassNames()).validate(model, data(*classes), ckpt_path=checkpoint, verbose=False)
        return caplog.text

    assert "class" not in validate("cat", "dog", "eel") + validate("cat", "dog", "eel", "fly")
    assert "class 1 is 'dogs' in the data and was 'dog' in the training; they" in validate("cat", "dogs", "eel")
    with pytest.raises(ConfigError, match=r"a.ckpt: val: class 0 is 'dog' in the data and was 'cat' in the training"):
        validate("dog", "eel", "fly")


def test_what_is_predicted_is_called_as_in_the_training(data, model, checkpoint, tmp_path):
    writer = PredictionWriter(tmp_path / "predictions.pt")
    unlabelled = data("all")
    trainer(writer, ClassNames()).predict(model, unlabelled, return_predictions=False, ckpt_path=checkpoint)
    heading, first = (tmp_path / "predictions.csv").read_text().splitlines()[:2]
    assert heading.endswith('"p_cat","p_dog","p_eel"')
    assert first.split(",")[2] == '"all"' and first.split(",")[3].strip('"') in ("cat", "dog", "eel")


@pytest.mark.parametrize("mode", ["validate", "test", "predict"])
def test_every_run_compares_them(tmp_path, mode):
    callbacks = build_callbacks({"mode": mode}, StopSignals(abort=lambda: None), tmp_path)
    assert any(isinstance(callback, ClassNames) for callback in callbacks)
