import gzip

import numpy as np
import pytest

from ffcv_hydra.datasets import FashionMNIST
from ffcv_hydra.errors import ConfigError


def write_idx(path, magic, values):
    header = np.array([magic, *values.shape], ">u4").tobytes()
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


@pytest.fixture
def published(tmp_path):
    """A folder with the four files, of three images for training and two for testing."""
    for part, count in (("train", 3), ("t10k", 2)):
        images = np.arange(count)[:, None, None] * np.ones((count, 28, 28)) + 10 * (part == "t10k")
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", 2051, images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", 2049, np.arange(count) + 7)
    return tmp_path


def test_the_published_files_are_read(published):
    train, test = FashionMNIST(published, "train"), FashionMNIST(published, "test", download=False)
    assert (len(train), len(test), train.classes[9]) == (3, 2, "Ankle boot")
    image, label = test[1]
    assert (image.mode, image.size, image.getpixel((27, 27)), label) == ("RGB", (28, 28), (11, 11, 11), 8)


def test_files_that_are_not_whole_are_named(published, tmp_path):
    path = published / "t10k-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:middle], whole[:12] + b"\xff" * 8 + whole[20:]):
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match="Fashion-MNIST is not whole in .*t10k-images-idx3-ubyte.gz"):
            FashionMNIST(published, "test")
    write_idx(path, 2051, np.zeros((1, 28, 28)))
    with pytest.raises(ConfigError, match="t10k has 1 images and 2 labels"):
        FashionMNIST(published, "test")
    with pytest.raises(ConfigError, match="no split 'val'; use one of train, test"):
        FashionMNIST(published, "val")


def test_without_them_torchvision_looks_for_its_own(tmp_path):
    with pytest.raises(ConfigError, match="not whole in .*dataset.download=true"):
        FashionMNIST(tmp_path, "train", download=False)
