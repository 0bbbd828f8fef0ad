import os
import pickle

import numpy as np
import pytest
import torchvision.datasets.cifar as torchvision_cifar

from ffcv_hydra.datasets import CIFAR10
from ffcv_hydra.errors import ConfigError


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with 2 images per file, and torchvision kept from checking what is in the files."""
    monkeypatch.setattr(torchvision_cifar, "check_integrity", lambda path, md5=None: os.path.isfile(path))
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for position, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        data = np.full((2, 3 * 32 * 32), position, np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": [position, position + 1]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["airplane", "automobile"]}))
    return tmp_path


def test_train_and_test_are_read(root):
    assert len(CIFAR10(root, "train")) == 10
    test = CIFAR10(root, "test", download=False)
    image, label = test[1]
    assert (image.mode, image.size, image.getpixel((0, 0)), label) == ("RGB", (32, 32), (5, 5, 5), 6)
    assert test.classes == ["airplane", "automobile"]


def test_missing_data_and_splits_are_named(tmp_path, root):
    with pytest.raises(ConfigError, match="no split 'val'; use one of train, test"):
        CIFAR10(root, "val")
    with pytest.raises(ConfigError, match="not whole in .*download=true") as caught:
        CIFAR10(tmp_path / "elsewhere", "train", download=False)
    assert "\n" not in str(caught.value)
