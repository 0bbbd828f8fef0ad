"""The data module of a run from its config, and the conversion of betons that are not there yet."""

import os
from collections.abc import Mapping, Sequence
from contextlib import chdir
from functools import partial
from typing import Any

from ffcv_hydra.building.conversion_config import SplitPart, parts_of
from ffcv_hydra.building.folds import with_folds
from ffcv_hydra.building.instantiation import Config, build
from ffcv_hydra.building.preparation import convert_betons
from ffcv_hydra.building.targets import locate
from ffcv_hydra.collection.data_cache import choose_cache
from ffcv_hydra.collection.mixture import Mixture
from ffcv_hydra.datamodule import FFCVDataModule
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.foreign import adapted, is_foreign
from ffcv_hydra.pipeline import DISABLED, FFCVPipelineManager, FieldPipeline, Pipeline

_STAGES = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("predict",),
    "export": ("val",),
}
"""The splits that a mode reads. All but the validation of `fit` have to be there."""


def build_datamodule(config: Config) -> FFCVDataModule:
    """Build the data module for the splits that the run's mode needs; from here on `cache` holds for this process.

    Betons that are missing are converted when Lightning prepares the data (on one process per machine, with a progress
    bar); one that was made from another configuration is an error then.

    Raises:
        ConfigError: a split that the mode needs is not in the dataset, or only a worker's part would be converted.
    """
    choose_cache(**(config.get("cache") or {}))
    config = with_folds(config)
    stages = needed_stages(config)
    if (config.get("conversion") or {}).get("workers") is not None:
        raise ConfigError("conversion.workers is for convert.py: a run needs all of its data; leave it out")
    options: dict[str, Any] = {f"{stage}_manager": _build_manager(config, stage) for stage in stages}
    options |= config.get("loader") or {}
    return FFCVDataModule(
        seed=config.get("seed"),
        prepare=partial(_convert, config, stages, os.getcwd()),
        device_transforms=_build_device_transforms(config, stages),
        **options,
    )


def needed_stages(config: Config) -> list[str]:
    """Return the stages of the run's mode whose splits the dataset has; raises `ConfigError` when one is missing."""
    mode, splits = config["mode"], config["dataset"]["splits"]
    present = [stage for stage in _STAGES[mode] if splits.get(stage) is not None]
    required = _STAGES[mode][0]
    if required not in present:
        has = ", ".join(stage for stage, split in splits.items() if split is not None) or "none"
        by_fraction = required in config["dataset"].get("fractions", {})
        advice = f", or dataset.fractions.{required}=0.1" if by_fraction else ""
        raise ConfigError(f"mode={mode} needs dataset.splits.{required}{advice}; the dataset has {has}")
    if mode == "fit" and config.get("test_after_fit") and splits.get("test") is not None:
        present.append("test")
    return present


def _build_manager(config: Config, stage: str) -> FFCVPipelineManager:
    dataset, parts = config["dataset"], parts_of(config["dataset"], stage)
    key, pipelines = of_stage(config.get("pipeline") or {}, stage)
    order = "train" if stage == "train" else "eval"
    is_mixed = "members" in dataset["splits"][stage]
    return FFCVPipelineManager(
        _build_mixture(dataset, parts) if is_mixed else parts[0].split["beton"],
        pipeline_transforms=None if pipelines is None else _build_pipelines(f"pipeline.{key}", pipelines),
        ordering=_build_ordering(f"ordering.{order}", config["ordering"][order]),
        indices=None if is_mixed else _build_indices(parts[0]),
    )


def _build_indices(part: SplitPart) -> Any:
    indices = part.split.get("indices")
    return build(f"{part.key}.indices", indices) if isinstance(indices, Mapping) else indices


def _build_mixture(dataset: Mapping[str, Any], parts: Sequence[SplitPart]) -> Mixture:
    """The members by their shares, or one after another where they have none."""
    keys: dict[str, str] = {}
    for part in parts:
        if (key := keys.setdefault(part.split["beton"], part.key)) != part.key:
            raise ConfigError(f"{key} and {part.key} are both {part.split['beton']}; give one of them another name")
    shares: dict[Any, Any] = {part.split["beton"]: part.split.get("share") for part in parts}
    is_shared = None not in shares.values()
    return Mixture(
        shares if is_shared else list(shares),
        dataset.get("epoch_size") if is_shared else None,
        fill_values=dataset.get("fill_values"),
        indices={part.split["beton"]: _build_indices(part) for part in parts},
    )


def of_stage(by_stage: Mapping[str, Any], stage: str) -> tuple[str, Any]:
    """What is said of a stage, and at which key; a test or a prediction of which nothing is said follows `val`."""
    key = "val" if stage in ("test", "predict") and by_stage.get(stage) is None else stage
    return key, by_stage.get(key)


def _build_ordering(key: str, node: Mapping[str, Any]) -> Any:
    """An `Ordering`, or what else the loader takes; for another library's class, what stands for it."""
    target = locate(node["_target_"], key)
    if not is_foreign(target):
        return build(key, node)
    arguments = {name: value for name, value in node.items() if name != "_target_"}
    return adapted(target)(**build(key, arguments))


def _build_pipelines(key: str, pipelines: Mapping[str, Any]) -> dict[str, Any]:
    return {output: _build_pipeline(f"{key}.{output}", pipeline) for output, pipeline in pipelines.items()}


def _build_pipeline(key: str, pipeline: Any) -> Pipeline:
    if pipeline in (None, DISABLED):
        return pipeline
    if isinstance(pipeline, Mapping):
        operations = pipeline.get("operations")
        built = None if operations is None else build(f"{key}.operations", operations)
        return FieldPipeline(**{**pipeline, "operations": built})
    return build(key, pipeline)


def _build_device_transforms(config: Config, stages: list[str]) -> dict[str, Any]:
    """The torch modules of each stage that has some."""
    given = (config.get("pipeline") or {}).get("device") or {}
    found = {stage: of_stage(given, stage) for stage in stages}
    return {stage: build(f"pipeline.device.{key}", modules) for stage, (key, modules) in found.items() if modules}


def _convert(config: Config, stages: list[str], folder: str) -> None:
    with chdir(folder):  # the trainer may be at work in another one
        for _ in convert_betons(config, stages):
            pass
