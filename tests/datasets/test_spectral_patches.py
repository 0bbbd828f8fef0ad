import numpy as np
import pytest

from ffcv_hydra.datasets import SpectralPatches
from ffcv_hydra.errors import ConfigError


def test_items_are_images_of_many_channels_with_a_material():
    dataset = SpectralPatches("train", num_patches=200, size=24)
    items = [dataset[index] for index in range(len(dataset))]
    assert {(image.dtype, image.shape) for image, _ in items} == {(np.dtype(np.uint16), (24, 24, 13))}
    assert {label for _, label in items} == set(range(6)) == set(range(len(dataset.classes)))


def test_items_are_the_same_for_the_same_seed_only():
    first, again, other = (SpectralPatches("val", seed=seed)[3][0] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_splits_differ_and_share_no_pixel():
    datasets = [SpectralPatches(split) for split in ("train", "val", "test")]
    assert len({dataset[0][0].tobytes() for dataset in datasets}) == 3
    for photos in zip(*(dataset._photos for dataset in datasets), strict=True):
        assert sum(photo.shape[1] for photo in photos) == 640 and {photo.shape[0] for photo in photos} == {427}


def test_a_material_changes_each_channel_in_its_own_way():
    dataset, bare = SpectralPatches("train"), SpectralPatches("train")
    bare._materials = np.zeros_like(bare._materials)
    assert len({tuple(material) for material in dataset._materials}) == 6
    for index in range(20):
        (image, label), (without, _) = dataset[index], bare[index]
        difference = image.astype(float) - without
        changed = (difference != 0).any(2)
        assert 0.05 < changed.mean() < 0.4
        assert np.array_equal(np.sign(difference[changed].mean(0)), np.sign(dataset._materials[label]))


def test_what_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="no split 'training'"):
        SpectralPatches("training")
    with pytest.raises(IndexError):
        SpectralPatches("val", num_patches=3)[3]
