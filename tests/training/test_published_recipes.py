"""Published recipes, trained for two steps on made-up pictures of the sizes of theirs."""

import pickle

import numpy as np
import pytest
import torchvision.datasets.cifar as torchvision_cifar
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict
from PIL import Image

import ffcv_hydra.cli  # noqa: F401  (registers the resolvers)
from ffcv_hydra.cli.commands import resolve
from ffcv_hydra.training.run import train

pytestmark = pytest.mark.timeout(240)
SHORT = (
    "logger=none", "trainer.max_epochs=1", "trainer.max_steps=-1", "trainer.limit_train_batches=2", "trainer.devices=1",
    "trainer.limit_val_batches=1", "trainer.accelerator=cpu", "trainer.num_sanity_val_steps=0", "loader.num_workers=2",
    "trainer.precision=32",  # bfloat16 takes several times as long on processors that do not have it
)  # fmt: skip


@pytest.fixture(autouse=True)
def _forget_hydra():
    yield
    HydraConfig.instance().cfg = None


def run(folder, *overrides):
    with initialize_config_module("ffcv_hydra.conf", version_base="1.3"):
        config = compose("run", [f"data_dir={folder}", *SHORT, *overrides], return_hydra_config=True)
    config.hydra.runtime.output_dir = str(folder / "run")
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        task = config.copy()
        del task["hydra"]
    return train(resolve(task), folder / "run")


@pytest.mark.parametrize("experiment", ["imagenet_rn18", "imagenet_rn50"])
def test_imagenet(experiment, tmp_path):
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for name in ("n01440764", "n01443537"):
            folder = tmp_path / "images" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (375, 500, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.JPEG")
    batch = "loader.global_batch_size=4" if experiment == "imagenet_rn18" else "loader.batch_size=4"
    result = run(tmp_path, f"experiment={experiment}", f"dataset.root={tmp_path}/images", batch)
    assert result["status"] == "completed"
    assert result["metrics"].keys() >= {"train_loss", "val_loss", "val_accuracy"}


def test_airbench(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision_cifar, "check_integrity", lambda path, md5=None: True)
    folder = tmp_path / "cifar10" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]:
        data = random.integers(0, 256, (8, 3 * 32 * 32), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": list(range(8))}))
    names = [str(number) for number in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    result = run(tmp_path, "experiment=cifar10_airbench", "loader.batch_size=16")
    assert result["status"] == "completed"
    assert result["metrics"].keys() >= {"train_loss", "val_loss", "val_accuracy"}
    assert "test_loss" not in result["metrics"]
