"""The loader that a run has for one stage, without the run."""

from collections.abc import Mapping
from typing import Any

from ffcv_hydra.building.data import build_datamodule
from ffcv_hydra.building.folds import with_folds
from ffcv_hydra.building.preparation import convert_betons
from ffcv_hydra.loader import Loader
from ffcv_hydra.pipeline import FFCVPipelineManager

_MODES = {"train": "fit", "val": "validate", "test": "test", "predict": "predict"}


def stage_loader(config: Mapping[str, Any], stage: str) -> tuple[FFCVPipelineManager, Loader]:
    """The manager of one stage and its loader; the stage's beton is converted if it is missing.

    Args:
        config: the composed run config, resolved.
        stage: train, val, test or predict.

    Raises:
        ConfigError: the dataset has no such split.
        FFCVHydraError: as training with this config would.
    """
    config = with_folds(config)
    dataset = config["dataset"]
    only = {**dataset, "splits": {stage: dataset["splits"].get(stage)}}
    datamodule = build_datamodule({**config, "dataset": only, "mode": _MODES[stage], "test_after_fit": False})
    for _ in convert_betons(config, [stage]):
        pass
    manager = datamodule.managers[stage]
    assert manager is not None
    return manager, getattr(datamodule, f"{stage}_dataloader")()
