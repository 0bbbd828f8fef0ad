"""From a composed config to its betons."""

from pathlib import Path
from typing import Any

import pytest
from hydra.errors import InstantiationException

from ffcv_hydra.building.conversion_config import convert_beton, distinct_betons
from ffcv_hydra.datasets import SplitFraction
from ffcv_hydra.errors import BetonError, ConfigError

CONVERSION = {
    "if_exists": "keep",
    "num_workers": 0,
    "page_size": None,
    "chunksize": 100,
    "shuffle_indices": False,
    "indices": None,
}


def config(tmp_path: Path, **splits: Any) -> dict[str, Any]:
    source = {"_target_": "ffcv_hydra.datasets.ToyImages", "num_samples": 10}
    split = {"source": source, "beton": str(tmp_path / "toy.beton"), "indices": None}
    return {
        "data_dir": str(tmp_path),
        "dataset": {
            "name": "toy",
            "fields": {"image": {"write_mode": "raw", "max_resolution": None}, "label": None},
            "splits": {stage: None if change is None else split | change for stage, change in splits.items()},
        },
        "conversion": CONVERSION,
    }


def test_beton_that_two_splits_share_is_there_once(tmp_path):
    [beton] = distinct_betons(config(tmp_path, train={"indices": [0]}, val={"indices": [1]}, test=None))
    assert beton.path == tmp_path / "toy.beton"


def test_only_the_wanted_stages_count(tmp_path):
    found = distinct_betons(config(tmp_path, train={}, test={"beton": "test.beton"}), ["test"])
    assert [str(beton.path) for beton in found] == ["test.beton"]


def test_one_path_for_two_sources_is_refused(tmp_path):
    other = {"source": {"_target_": "ffcv_hydra.datasets.ToyImages", "num_samples": 20}}
    with pytest.raises(ConfigError, match=r"dataset.splits.train and dataset.splits.val both name"):
        distinct_betons(config(tmp_path, train={}, val=other))


def test_description_stays_true_when_the_data_folder_moves(tmp_path):
    def described(folder: Path) -> Any:
        source = {"_target_": "ffcv_hydra.datasets.CIFAR10", "root": str(folder / "cifar10")}
        return distinct_betons(config(folder, train={"source": source}))[0].description

    assert described(tmp_path / "here") == described(tmp_path / "there")
    assert described(tmp_path)["fields"]["image"] == {"write_mode": "raw"}


@pytest.mark.timeout(120)
def test_subset_is_stored_and_another_config_is_noticed(tmp_path):
    wanted = config(tmp_path, train={})
    subset = {"_target_": "ffcv_hydra.datasets.SplitFraction", "start": 0.0, "stop": 0.5, "seed": 0}
    half = wanted | {"conversion": CONVERSION | {"indices": subset}}
    summary = convert_beton(distinct_betons(half)[0], half["conversion"])
    assert summary is not None
    assert summary.num_samples == len(SplitFraction(0.0, 0.5)(10))
    assert convert_beton(distinct_betons(half)[0], half["conversion"]) is None
    with pytest.raises(BetonError, match=r"indices"):
        convert_beton(distinct_betons(wanted)[0], wanted["conversion"])
    assert convert_beton(distinct_betons(wanted)[0], CONVERSION | {"if_exists": "overwrite"}).num_samples == 10


@pytest.mark.timeout(120)
def test_that_samples_were_shuffled_is_remembered(tmp_path):
    wanted = config(tmp_path, train={})
    shuffled = wanted | {"conversion": CONVERSION | {"shuffle_indices": True}}
    for first, second in ((wanted, shuffled), (shuffled, wanted)):
        overwrite = first["conversion"] | {"if_exists": "overwrite"}
        assert convert_beton(distinct_betons(first)[0], overwrite).num_samples == 10
        assert convert_beton(distinct_betons(first)[0], first["conversion"]) is None
        with pytest.raises(BetonError, match="shuffle_indices is .* in the file, but .* is wanted"):
            convert_beton(distinct_betons(second)[0], second["conversion"])


def test_missing_beton_without_a_source_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"no source to make it from"):
        convert_beton(distinct_betons(config(tmp_path, train={"source": None}))[0], CONVERSION)


OWN_FIELDS = {
    "gray": {"_target_": "ffcv_hydra.beton.GrayscaleImageField", "write_mode": "raw", "jpeg_quality": None},
    "deep": {"_target_": "ffcv_hydra.beton.GrayscaleImageField", "bits": 16},
    "mask": {"_target_": "ffcv_hydra.beton.MaskField"},
    "boxes": {"_target_": "ffcv_hydra.beton.RaggedArrayField", "dtype": "float32", "item_shape": [4]},
    "text": {"_target_": "ffcv_hydra.beton.TextField"},
    "weights": {"_target_": "ffcv_hydra.beton.BFloat16TensorField", "shape": [3]},
}
SCENES = """
import numpy as np, torch
gray, boxes, weights = np.zeros((4, 4), np.uint8), np.zeros((2, 4), np.float32), torch.zeros(3, dtype=torch.bfloat16)
SCENES = [(gray, gray.astype(np.uint16), gray, boxes, "text", weights)]
def scenes():
    return SCENES
"""


def test_own_fields_are_chosen_by_target(tmp_path, monkeypatch):
    (tmp_path / "own_scenes.py").write_text(SCENES)
    monkeypatch.syspath_prepend(tmp_path)
    wanted = config(tmp_path, train={"source": {"_target_": "own_scenes.scenes"}})
    wanted["dataset"]["fields"] = OWN_FIELDS
    summary = convert_beton(distinct_betons(wanted)[0], CONVERSION)
    assert summary.fields == {
        "gray": "grayscale 8-bit",
        "deep": "grayscale 16-bit",
        "mask": "mask",
        "boxes": "ragged float32 (n, 4)",
        "text": "text",
        "weights": "tensor bfloat16 (3,)",
    }


def test_a_dataset_that_refuses_is_told_with_its_split(tmp_path):
    (tmp_path / "images/train/cat").mkdir(parents=True)
    source = {"_target_": "ffcv_hydra.datasets.ImageFolder", "root": str(tmp_path / "images"), "split": "val"}
    [beton] = distinct_betons(config(tmp_path, val={"source": source}))
    with pytest.raises(ConfigError, match=r"^dataset\.splits\.val: \S*images: no folder for split 'val'; it has train"):
        convert_beton(beton, CONVERSION)


def test_a_source_that_cannot_be_built_is_told_by_its_key(tmp_path):
    source = {"_target_": "ffcv_hydra.datasets.ImageFolder", "root": "x"}
    wanted = config(tmp_path, train={}, predict={"source": source, "beton": "predict.beton"})
    _, beton = distinct_betons(wanted)
    with pytest.raises(InstantiationException, match=r"full_key: dataset\.splits\.predict\.source"):
        convert_beton(beton, CONVERSION)
