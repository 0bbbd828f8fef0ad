"""The data module of a run from its config, and the conversion of betons that are not there yet."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from ffcv_hydra.conversion_config import convert_beton, distinct_betons
from ffcv_hydra.datamodule import FFCVDataModule
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.pipeline import DISABLED, FFCVPipelineManager
from ffcv_hydra.training.build import Config, build

_STAGES = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("predict",)}
"""The splits that a mode reads. All but the validation of `fit` have to be there."""


def build_datamodule(config: Config) -> FFCVDataModule:
    """Build the data module for the splits that the run's mode needs.

    Betons that are missing are converted when Lightning prepares the data (on one process per machine, with a progress
    bar); one that was made from another configuration is an error then.

    Raises:
        ConfigError: a split that the mode needs is not in the dataset.
    """
    stages = needed_stages(config)
    options: dict[str, Any] = {f"{stage}_manager": _build_manager(config, stage) for stage in stages}
    options |= {name: value for name, value in (config.get("loader") or {}).items() if value is not None}
    return FFCVDataModule(seed=config.get("seed"), prepare=partial(_convert, config, stages), **options)


def needed_stages(config: Config) -> list[str]:
    """Return the stages of the run's mode whose splits the dataset has; raises `ConfigError` when one is missing."""
    mode, splits = config["mode"], config["dataset"]["splits"]
    present = [stage for stage in _STAGES[mode] if splits.get(stage) is not None]
    required = _STAGES[mode][0]
    if required not in present:
        has = ", ".join(stage for stage, split in splits.items() if split is not None) or "none"
        raise ConfigError(f"mode={mode} needs dataset.splits.{required}; the dataset has {has}")
    if mode == "fit" and config.get("test_after_fit") and splits.get("test") is not None:
        present.append("test")
    return present


def _build_manager(config: Config, stage: str) -> FFCVPipelineManager:
    split = config["dataset"]["splits"][stage]
    pipelines = (config.get("pipeline") or {}).get(stage)
    order = "train" if stage == "train" else "eval"
    indices = split.get("indices")
    if isinstance(indices, Mapping):
        indices = build(f"dataset.splits.{stage}.indices", indices)
    return FFCVPipelineManager(
        split["beton"],
        pipeline_transforms=None if pipelines is None else _build_pipelines(f"pipeline.{stage}", pipelines),
        ordering=build(f"ordering.{order}", config["ordering"][order]),
        indices=indices,
    )


def _build_pipelines(key: str, pipelines: Mapping[str, Any]) -> dict[str, Any]:
    return {
        field: operations if operations in (None, DISABLED) else build(f"{key}.{field}", operations)
        for field, operations in pipelines.items()
    }


def _convert(config: Config, stages: list[str]) -> None:
    for beton in distinct_betons(config, stages):
        convert_beton(beton, config["conversion"])
