"""Which checkpoint `ckpt_path` means."""

import json
import os
import shutil

import pytest
import torch
from standin_run import config
from torch import nn

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import Classifier
from ffcv_hydra.training.checkpoints import check_checkpoint, find_checkpoint


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """Two runs: the older one has ended, and its folder has been moved since; the newer one was killed."""
    monkeypatch.chdir(tmp_path)
    for age, (name, files) in enumerate(
        {"day/new": ["last.ckpt"], "day/old": ["last.ckpt", "best-epoch2.ckpt", "best-epoch9.ckpt"]}.items()
    ):
        folder = tmp_path / "outputs" / name / "checkpoints"
        folder.mkdir(parents=True)
        for file in files:
            (folder / file).touch()
            os.utime(folder / file, (1e9 - age, 1e9 - age))
    ended = {"best_checkpoint": "/moved/from/here/checkpoints/best-epoch2.ckpt", "overrides": ["model=simclr"]}
    (tmp_path / "outputs/day/old/result.json").write_text(json.dumps(ended))
    (tmp_path / "outputs/day/new/result.json").write_text('{"status": "running", "best_checkpoint": null}')
    return tmp_path / "outputs"


@pytest.mark.parametrize(
    ("given", "mode", "found"),
    [
        ("outputs/day/old", "fit", "old/checkpoints/last.ckpt"),
        ("outputs/day/old", "test", "old/checkpoints/best-epoch2.ckpt"),
        ("outputs/day/old/best", "fit", "old/checkpoints/best-epoch2.ckpt"),
        ("outputs/day/old/last", "predict", "old/checkpoints/last.ckpt"),
        ("outputs/day/old/checkpoints/best-epoch9.ckpt", "test", "old/checkpoints/best-epoch9.ckpt"),
        ("last", "fit", "new/checkpoints/last.ckpt"),
        ("last", "test", "new/checkpoints/last.ckpt"),
        ("outputs", "fit", "new/checkpoints/last.ckpt"),
        ("outputs/day/last", "fit", "new/checkpoints/last.ckpt"),
    ],
)
def test_a_runs_folder_stands_for_a_checkpoint_of_it(outputs, given, mode, found):
    assert find_checkpoint(given, mode, outputs / "own") == outputs / "day" / found


def test_the_best_of_a_run_that_has_not_ended_is_its_newest_best(outputs):
    (outputs / "day/new/checkpoints/best-epoch4.ckpt").touch()
    (outputs / "day/new/checkpoints/best-epoch7.ckpt").touch()
    os.utime(outputs / "day/new/checkpoints/best-epoch4.ckpt", (1, 1))
    assert find_checkpoint("best", "test", outputs).name == "best-epoch7.ckpt"


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("nowhere", "no such file or folder; give a checkpoint, or a run's folder"),
        ("nowhere/last", "no such file or folder"),
        ("outputs/day/new", "new has no best checkpoint, but last.ckpt: name one of these"),
        ("best", "new has no best checkpoint, but last.ckpt"),
        ("empty", "empty is no run's folder, and no run in it has checkpoints"),
    ],
)
def test_a_folder_without_such_a_checkpoint_is_refused(outputs, given, fault):
    (outputs.parent / "empty").mkdir()
    with pytest.raises(ConfigError, match=rf"^ckpt_path={given}: .*{fault}"):
        find_checkpoint(given, "test", outputs)


def test_a_word_without_any_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="ckpt_path=last: no such file or folder"):
        find_checkpoint("last", "fit", tmp_path)


def test_a_checkpoint_of_another_model_says_with_what_its_run_was_started(outputs):
    path = outputs / "day/old/checkpoints/last.ckpt"
    torch.save({"state_dict": {"weight": torch.zeros(2)}}, path)
    model = Classifier(nn.Linear(2, 2), 2, {"_target_": "torch.optim.SGD", "lr": 0.1})
    with pytest.raises(ConfigError, match=r"of another model than Classifier: .* \(its run had model=simclr\)"):
        check_checkpoint(path, model)
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(ConfigError, match="not a checkpoint of a LightningModule; model.init_from takes any weights"):
        check_checkpoint(path, model)


def test_a_run_goes_on_from_a_folder_and_begins_with_weights_of_another(train, tmp_path):
    keeping = {
        "best": {
            "_target_": "ffcv_hydra.callbacks.ModelCheckpoint",
            "dirpath": str(tmp_path / "first/checkpoints"),
            "monitor": "val_loss",
            "save_last": True,
        }
    }
    first = train(config(callbacks=keeping), tmp_path / "first")
    shutil.move(tmp_path / "first", tmp_path / "moved")
    tested = train(config(mode="validate", ckpt_path=str(tmp_path / "moved")), tmp_path / "second")
    assert tested["metrics"]["val_loss"] == pytest.approx(first["metrics"]["val_loss"])
    begun = train(config(mode="validate", model={"init_from": str(tmp_path / "moved")}), tmp_path / "third")
    assert begun["metrics"] == tested["metrics"]
