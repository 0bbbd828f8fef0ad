"""Configs composed in a program."""

from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from ffcv_hydra import build_datamodule, build_model, compose, train
from ffcv_hydra.errors import ConfigError

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_it_is_plain_checked_and_of_a_new_run_each_time(tmp_path):
    config = compose("run", ["experiment=digits", "seed=3"])
    assert type(config) is dict and type(config["pipeline"]["train"]) is dict
    assert (config["seed"], config["model"]["num_classes"], config["data_dir"]) == (3, 10, str(tmp_path / "data"))
    folder = config["trainer"]["default_root_dir"]
    assert folder.startswith(str(tmp_path / "outputs"))
    assert config["callbacks"]["checkpoint"]["dirpath"] == f"{folder}/checkpoints"
    assert compose("run", ["experiment=digits"])["trainer"]["default_root_dir"] != folder
    assert compose("convert", ["dataset=toy"])["conversion"]["if_exists"] == "keep"
    chosen = compose(overrides=["hydra.run.dir=here"])
    assert chosen["trainer"]["default_root_dir"] == str(tmp_path / "here") and not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["experiment=digit"], "experiment=digit: there is no such option; did you mean 'digits'?"),
        (["trainer.max_epoch=3"], "unknown key 'trainer.max_epoch': did you mean 'trainer.max_epochs'?"),
        (["train=true"], "unknown key 'train': write mode=fit"),
        ("seed=1", "compose: overrides are a list of texts: ['seed=1']"),
        (["seed=x"], "seed='x': should be a valid integer"),
        (["dataset=image_folder"], "has no value"),
        (["loader.num_workers=0"], "loader.num_workers"),
        (["dataset.splits.train.beton=s3://me:secret@store/a.beton"], "credentials of a store"),
    ],
)
def test_what_is_wrong_is_one_line(overrides, line):
    with pytest.raises(ConfigError, match=r".*") as raised:
        compose("run", overrides)
    assert line in str(raised.value) and "\n" not in str(raised.value) and "secret@" not in str(raised.value)
    assert not GlobalHydra.instance().is_initialized() and not HydraConfig.initialized()
    with pytest.raises(ConfigError, match="there is no config 'train'; use run or convert"):
        compose("train", overrides)


def test_hydra_is_left_as_it_was_found(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "mine.yaml").write_text("a: 1\n")
    with hydra.initialize_config_dir(str(tmp_path / "conf"), version_base="1.3"):
        mine = hydra.compose("mine", return_hydra_config=True)
        HydraConfig.instance().set_config(mine)
        compose("run", ["experiment=digits"])
        assert hydra.compose("mine") == OmegaConf.create({"a": 1}) and HydraConfig.get().job.name == mine.hydra.job.name
    HydraConfig.instance().cfg = None


def test_groups_of_ones_own_are_found(tmp_path):
    for name in ("mine", "it's\\'mine\\"):
        (tmp_path / name / "experiment").mkdir(parents=True)
        (tmp_path / name / "experiment" / "small.yaml").write_text("# @package _global_\nseed: 77\n")
        assert compose("run", ["experiment=small"], config_dir=tmp_path / name)["seed"] == 77
    assert compose("run", ["experiment=small"], config_dir="mine")["seed"] == 77
    with pytest.raises(ConfigError, match="config_dir=mine and hydra.searchpath=: name all folders in the latter"):
        compose("run", ["hydra.searchpath=[file://yours]"], config_dir="mine")
    with pytest.raises(ConfigError, match="config_dir=yours is no folder"):
        compose("run", ["experiment=small"], config_dir="yours")


def test_its_parts_are_built_and_it_is_trained_in_one_folder_each_time(tmp_path):
    quiet = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "callbacks.progress=null", "test_after_fit=false"]
    config = compose("run", ["dataset=toy", "trainer.accelerator=cpu", *quiet])
    data, model = build_datamodule(config), build_model(config)
    data.prepare_data()
    assert model(next(iter(data.train_dataloader()))[0]) is not None
    folder = Path(config["trainer"]["default_root_dir"])
    for given, into in ((None, folder), (None, Path(f"{folder}-2")), (tmp_path / "chosen", tmp_path / "chosen")):
        result = train(config, given)
        assert result["status"] == "completed" and "val_loss" in result["metrics"]
        assert result["run_folder"] == str(into)
        assert {"last.ckpt", Path(result["best_checkpoint"]).name} == {path.name for path in into.glob("checkpoints/*")}
        assert (into / "metrics_by_step.csv").exists() and any(into.glob("tensorboard/events*"))
    assert [path.name for path in sorted(folder.parent.iterdir())] == [folder.name, f"{folder.name}-2"]


def test_another_folder_of_the_trainer_than_hydras_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"default_root_dir=/data: a run's folder is chosen by hydra\.run\.dir=PATH"):
        compose("run", ["experiment=digits", "trainer.default_root_dir=/data"])
