"""Cross-validation: `dataset.folds` and `dataset.fold` as the indices of two splits."""

from collections.abc import Mapping
from typing import Any

from ffcv_hydra.errors import ConfigError


def with_folds(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config with the train split's samples divided: `val` reads one fold of them, and `train` the others.

    Both read the beton of the train split, so that all folds need one conversion. Which sample is in which fold follows
    from the config's `seed`. A config without folds is returned as it is.

    Raises:
        ConfigError: one key is there without the other, or the dataset cannot be divided.
    """
    dataset = config["dataset"]
    folds, fold = dataset.get("folds"), dataset.get("fold")
    if folds is None and fold is None:
        return config
    if folds is None:
        raise ConfigError(f"dataset.fold={fold} of how many? add dataset.folds=NUMBER")
    if fold is None:
        raise ConfigError(f"dataset.folds={folds}: which? add dataset.fold=0, or -m 'dataset.fold=range(0,{folds})'")
    if not 0 <= fold < folds:
        raise ConfigError(f"dataset.fold={fold}: dataset.folds={folds} are 0 to {folds - 1}")
    train = dataset["splits"].get("train")
    if train is None or "members" in train:
        what = "has no train split" if train is None else "is a mixture"
        raise ConfigError(f"dataset.folds={folds}: the dataset {what}, of which there are no folds; leave them out")
    node = {"_target_": "ffcv_hydra.datasets.Fold", "fold": fold, "folds": folds, "seed": config.get("seed") or 0}
    divided = {
        stage: {**train, "indices": {**node, "held_out": stage == "val", "of": train.get("indices")}}
        for stage in ("train", "val")
    }
    return {**config, "dataset": {**dataset, "folds": None, "fold": None, "splits": {**dataset["splits"], **divided}}}
