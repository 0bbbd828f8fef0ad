"""`dataset.folds` and `dataset.fold`."""

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

import ffcv_hydra.cli  # noqa: F401  (registers the resolvers)
from ffcv_hydra.building.data import build_datamodule
from ffcv_hydra.building.folds import with_folds
from ffcv_hydra.building.stage_loader import stage_loader
from ffcv_hydra.errors import ConfigError


def config(dataset="toy", **changes):
    with initialize_config_module("ffcv_hydra.conf", version_base="1.3"):
        composed = OmegaConf.to_container(compose("run", [f"dataset={dataset}", "data_dir=data"]))
    found = {"mode": "fit", "seed": 3, "dataset": composed["dataset"]}
    found["dataset"] |= changes
    return found


def test_train_and_val_read_the_train_splits_beton_and_test_stays():
    plain = config("digits")
    splits = with_folds(config("digits", folds=5, fold=2))["dataset"]["splits"]
    assert splits["test"] == plain["dataset"]["splits"]["test"]
    for stage, held_out in (("train", False), ("val", True)):
        indices = splits[stage]["indices"]
        assert (indices["fold"], indices["folds"], indices["seed"], indices["held_out"]) == (2, 5, 3, held_out)
        assert {**splits[stage], "indices": None} == {**plain["dataset"]["splits"]["train"], "indices": None}


def test_without_folds_nothing_changes_and_they_are_made_once():
    plain = config()
    assert with_folds(plain) is plain
    divided = with_folds(config(folds=2, fold=0))
    assert with_folds(divided) is divided


def test_the_loaders_of_a_run_and_of_bench_read_the_folds(beton):
    split = {"source": None, "beton": str(beton), "indices": {"_target_": "ffcv_hydra.datasets.SplitFraction",
             "start": 0.0, "stop": 0.7, "seed": 0}}  # fmt: skip
    dataset = {"name": "mixed", "fields": None, "splits": {"train": split, "val": {**split, "beton": "not read"}}}
    ordering = {name: {"_target_": "ffcv_hydra.ordering.Sequential"} for name in ("train", "eval")}
    pipeline = {stage: {"image": "disabled"} for stage in ("train", "val")}
    base = {
        "mode": "fit",
        "seed": 0,
        "pipeline": pipeline,
        "ordering": ordering,
        "loader": {"batch_size": 4, "num_workers": 1},
    }
    of_train, of_val = [], []
    for fold in range(3):
        conversion = {"if_exists": "keep", "indices": None}
        folded = {**base, "dataset": {**dataset, "folds": 3, "fold": fold}, "conversion": conversion}
        data = build_datamodule(folded)
        train, val = data.train_dataloader().indices, data.val_dataloader().indices
        assert not set(train) & set(val)
        of_train.append(np.sort(np.concatenate([train, val])))
        of_val.append(val)
        assert np.array_equal(stage_loader(folded, "val")[1].indices, val)
    assert all(np.array_equal(ids, np.sort(np.concatenate(of_val))) for ids in of_train)


@pytest.mark.parametrize(
    ("dataset", "changes", "said"),
    [
        ("toy", {"fold": 1}, r"dataset.fold=1 of how many\? add dataset.folds=NUMBER"),
        ("toy", {"folds": 5}, r"-m 'dataset.fold=range\(0,5\)'"),
        ("toy", {"folds": 5, "fold": 5}, "dataset.folds=5 are 0 to 4"),
        ("toy", {"folds": 5, "fold": 1, "splits": {"train": None}}, "has no train split"),
        ("toy", {"folds": 5, "fold": 1, "splits": {"train": {"members": {}}}}, "is a mixture"),
    ],
)
def test_what_cannot_be_divided_is_told(dataset, changes, said):
    with pytest.raises(ConfigError, match=said):
        with_folds(config(dataset, **changes))
