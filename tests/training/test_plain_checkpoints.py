"""Checkpoints that would be refused later are named before training."""

import io

import pytest
import pytorch_lightning as pl
import standin_run
import torch
from standin_run import checkpoints, config

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import Classifier
from ffcv_hydra.training import run

pytestmark = pytest.mark.timeout(120)


class Gain:
    def __init__(self, value):
        self.value = value


class WithObject(Classifier):
    """Saves its hyperparameters with an object among them; a dictionary hides it from who looks at types."""

    def __init__(self, gain, **options):
        super().__init__(**options)
        self.save_hyperparameters(ignore=["backbone"])


def with_object(kind):
    target = {"object": "test_plain_checkpoints.Gain", "number": "numpy.float64"}[kind]
    return {"_target_": "test_plain_checkpoints.WithObject", "gain": {"inside": {"_target_": target, "_args_": [1]}}}


@pytest.mark.parametrize(("kind", "named"), [("object", r"test_\S+\.Gain"), ("number", r"numpy\S+scalar")])
def test_F45_hyperparameters_that_make_checkpoints_refused_are_named_before_training(train, tmp_path, kind, named):
    record = {"record": {"_target_": "standin_run.Record", "path": str(tmp_path / "batches")}}
    message = rf"hyperparameter 'gain' of WithObject puts {named} into .*ignore=\['gain'\].* trust_checkpoint=true"
    with pytest.raises(ConfigError, match=message):
        train(config(model=with_object(kind), callbacks=record), tmp_path)
    assert not (tmp_path / "batches.0").exists()


def test_F45_a_trusted_checkpoint_with_an_object_is_tested_and_resumed(train, tmp_path):
    options = {"model": with_object("object"), "trust_checkpoint": True, "test_after_fit": True}
    fitted = train(config(callbacks={"best": checkpoints(tmp_path / "fit")}, **options), tmp_path / "fit")
    assert fitted["status"] == "completed"
    again = {**options, "ckpt_path": fitted["best_checkpoint"], "trainer": {**config()["trainer"], "max_epochs": 3}}
    for mode in ("fit", "test", "predict"):
        assert train(config(mode=mode, **again), tmp_path / mode)["status"] == "completed"
    with pytest.raises(ConfigError, match=r"ckpt_path=.*: holds more than plain data.* add trust_checkpoint=true"):
        train(config(mode="test", **{**again, "trust_checkpoint": False}), tmp_path / "refused")


class Adds(Classifier):
    """Adds an object to each checkpoint, beside what it looks for in it."""

    def on_save_checkpoint(self, checkpoint):
        checkpoint["state_dict"] = dict(checkpoint["state_dict"])
        checkpoint["gain"] = [Gain(1)]


class CallbackThatAdds(pl.Callback):
    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        checkpoint["gains"] = {"of": Gain(int(trainer.global_step))}


class StateOfData(standin_run.PlainData):
    def state_dict(self):
        return {**super().state_dict(), "gain": Gain(1)}


@pytest.mark.parametrize("owner", ["Adds", "CallbackThatAdds", "StateOfData"])
def test_F45_what_hooks_add_to_checkpoints_is_looked_at_before_training(train, tmp_path, monkeypatch, owner):
    record = {"record": {"_target_": "standin_run.Record", "path": str(tmp_path / "batches")}}
    changes = {"model": {"_target_": "test_plain_checkpoints.Adds"}} if owner == "Adds" else {}
    if owner == "CallbackThatAdds":
        record["adds"] = {"_target_": "test_plain_checkpoints.CallbackThatAdds"}
    if owner == "StateOfData":
        monkeypatch.setattr(run, "build_datamodule", lambda config: StateOfData())
    with pytest.raises(ConfigError, match=rf"{owner}.* puts \S*\.Gain into .* trust_checkpoint=true"):
        train(config(callbacks=record, **changes), tmp_path)
    assert not (tmp_path / "batches.0").exists()
    assert train(config(callbacks=record, trust_checkpoint=True, **changes), tmp_path)["status"] == "completed"


def test_F45_a_state_of_many_tensors_is_not_copied_for_the_look(train, tmp_path, monkeypatch):
    options = {"model": {"optimizer": {"_target_": "torch.optim.Adam", "lr": 0.1}}}
    wide = {"backbone": {"_target_": "test_plain_checkpoints.Wide"}}
    options["model"] |= wide
    options["callbacks"] = {"best": checkpoints(tmp_path / "fit")}
    fitted = train(config(**options), tmp_path / "fit")
    sizes, save = [], torch.save

    def recorded(value, file, *others, **options):
        save(value, file, *others, **options)
        if isinstance(file, io.BytesIO):
            sizes.append(file.tell())

    monkeypatch.setattr(torch, "save", recorded)
    del options["callbacks"]
    options["trainer"] = {**config()["trainer"], "max_epochs": 3}
    train(config(ckpt_path=fitted["best_checkpoint"], **options), tmp_path / "again")
    assert 0 < max(sizes) < 100_000


class Wide(standin_run.LinearNet):
    """Has 400 kB of weights."""

    def __init__(self):
        super().__init__(standin_run.CLASSES)
        self.wide = torch.nn.Linear(100_000, 1, bias=False)

    def forward(self, images):
        return super().forward(images) + self.wide.weight.sum()


class Countless(pl.Callback):
    def state_dict(self):
        return {"counter": lambda: 1}


@pytest.mark.parametrize("trusted", [True, False])
def test_F45_what_cannot_be_saved_at_all_is_named_before_training(train, tmp_path, trusted):
    callbacks = {"count": {"_target_": "test_plain_checkpoints.Countless"}}
    with pytest.raises(ConfigError, match=r"state_dict\(\) of the callback Countless cannot be saved"):
        train(config(callbacks=callbacks, trust_checkpoint=trusted), tmp_path)
