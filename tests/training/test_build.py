"""The parts of a run from its config, and what is said of those that cannot be built."""

import pytest
import pytorch_lightning as pl
import torch
from standin_run import CLASSES, config

from ffcv_hydra.errors import ConfigError, FFCVHydraError

pytestmark = pytest.mark.timeout(120)
NETWORK = {"_target_": "ffcv_hydra.models.SmallConvNet", "_args_": [CLASSES], "width": 4}
SGD = {"_target_": "torch.optim.SGD", "lr": 0.1}


def test_more_devices_than_there_are_is_one_line(train, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_fabric.accelerators.cuda.num_cuda_devices", lambda: 1)
    with pytest.raises(ConfigError) as caught:
        train(config(trainer={"accelerator": "gpu", "devices": 2}), tmp_path)
    assert "trainer.devices=2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_ranks_that_would_be_sent_the_trainer_are_refused(train, tmp_path):
    with pytest.raises(ConfigError, match="strategy=ddp_spawn: .* use trainer.strategy=ddp, which starts the command"):
        train(config(trainer={"strategy": "ddp_spawn"}), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"callbacks": {"bad": {"_target_": "pytorch_lightning.callbacks.EarlyStopping"}}}, "callbacks.bad: .*monitor"),
        ({"logger": {"far": {"_target_": "test_build.needs_more"}}}, r"no wandb.*; or leave it out: logger\.far=null$"),
        ({"model": {"num_clases": 3}}, "model: .*num_clases"),
        ({"model": {"backbone": {"_target_": "standin_run.LinearNet"}}}, r"model\.backbone: .*num_classes"),
        ({"model": {"mean": [0.5]}}, r"model\.mean and model\.std belong together"),
    ],
)
def test_what_cannot_be_built_is_named_with_its_key(train, tmp_path, changes, message):
    with pytest.raises(FFCVHydraError, match=message) as caught:
        train(config(**changes), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_no_lightning_module_is_refused(train, tmp_path):
    model = {"_target_": "torch.nn.Linear", "in_features": 4, "out_features": 4}
    with pytest.raises(ConfigError, match=r"model\._target_=torch\.nn\.Linear: is no LightningModule"):
        train({**config(), "model": model}, tmp_path)


def test_a_dataset_without_a_number_of_classes_says_which_key_to_set(train, tmp_path):
    backbone = {"_target_": "standin_run.LinearNet", "num_classes": None}
    with pytest.raises(ConfigError, match=r"model\.num_classes is null; add dataset\.num_classes=NUMBER"):
        train(config(model={"backbone": backbone, "num_classes": None}), tmp_path)


@pytest.mark.parametrize(
    "model",
    [
        {"_target_": "ffcv_hydra.models.Classifier", "backbone": NETWORK, "num_classes": CLASSES, "optimizer": SGD},
        {"_target_": "ffcv_hydra.models.SimCLR", "backbone": NETWORK, "num_classes": CLASSES, "optimizer": SGD},
        {
            "_target_": "ffcv_hydra.models.Segmenter",
            "backbone": {"_target_": "ffcv_hydra.models.UNet", "num_classes": 3, "width": 4},
            "num_classes": 3,
            "optimizer": SGD,
        },
        {"_target_": "ffcv_hydra.models.AutoEncoder", "image_shape": [3, 8, 8]},
    ],
    ids=lambda model: model["_target_"].rpartition(".")[2],
)
def test_load_from_checkpoint_needs_no_arguments(tmp_path, model):
    from ffcv_hydra.training.build import build_model

    built = build_model({"model": model})
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)
    trainer.strategy.connect(built)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = type(built).load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(loaded.eval()(images), built.eval()(images))
    trainer.strategy.connect(loaded)
    trainer.save_checkpoint(tmp_path / "again.ckpt")
    again = torch.load(tmp_path / "again.ckpt", weights_only=True)["hyper_parameters"]
    assert again.get("backbone") == model.get("backbone")


def test_compile_and_channels_last_reach_the_network(monkeypatch):
    from ffcv_hydra.training.build import build_model

    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(type(module).__name__))
    backbone = {"_target_": "ffcv_hydra.models.SmallConvNet", "num_classes": 4}
    model = build_model(config(compile=True, channels_last=True, model={"backbone": backbone}))
    assert compiled == ["SmallConvNet"]
    weight = next(parameter for parameter in model.parameters() if parameter.ndim == 4 and parameter.shape[1] > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_a_progress_bar_that_is_switched_off_is_left_out(train, tmp_path, capsys):
    bar = {"bar": {"_target_": "ffcv_hydra.callbacks.ProgressBar"}}
    train(config(callbacks=bar), tmp_path)
    assert "epoch 1/2" not in capsys.readouterr().out


def test_a_user_model_with_a_partial_optimizer_is_left_to_hydra(train, tmp_path):
    optimizer = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1}
    model = {"_target_": "test_build.PartialModel", "optimizer": optimizer}
    assert train({**config(), "model": model}, tmp_path)["status"] == "completed"


def needs_more():
    raise ModuleNotFoundError("no wandb")


class PartialModel(pl.LightningModule):
    def __init__(self, optimizer):
        super().__init__()
        self.optimizer = optimizer
        self.weight = torch.nn.Parameter(torch.ones(()))

    def training_step(self, batch, batch_idx):
        return (self.weight * batch[0]).mean()

    def configure_optimizers(self):
        return self.optimizer(self.parameters())
