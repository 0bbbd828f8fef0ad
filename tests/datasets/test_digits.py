import numpy as np
import pytest

from ffcv_hydra.datasets import Digits
from ffcv_hydra.errors import ConfigError


def labels(split, seed=0):
    dataset = Digits(split, seed=seed)
    return [dataset[index][1] for index in range(len(dataset))]


def test_splits_are_stratified_and_together_all():
    counts = {split: np.bincount(labels(split), minlength=10) for split in ("train", "val", "test")}
    assert {split: int(count.sum()) for split, count in counts.items()} == {"train": 1257, "val": 180, "test": 360}
    for count in counts.values():
        assert count.max() <= count.min() * 1.15


def test_splits_have_no_image_in_common():
    datasets = [Digits(split) for split in ("train", "val", "test")]
    images = [np.asarray(image).tobytes() for dataset in datasets for image, _ in (dataset[n] for n in range(180))]
    assert len(set(images)) == len(images)


def test_the_seed_draws_the_split():
    assert labels("val") == labels("val")
    assert labels("val") != labels("val", seed=1)


def test_items_are_rgb_images_with_int_labels():
    dataset = Digits("test", size=28)
    image, label = dataset[0]
    assert (image.mode, image.size, type(label)) == ("RGB", (28, 28), int)
    assert dataset.classes == list("0123456789")


def test_an_unknown_split_is_refused():
    with pytest.raises(ConfigError, match="no split 'training'; use one of train, val, test"):
        Digits("training")
