"""The loader that a run has for one stage, without the run."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ffcv_hydra.building.data import build_datamodule
from ffcv_hydra.building.folds import with_folds
from ffcv_hydra.building.preparation import convert_betons
from ffcv_hydra.errors import FewSamplesError, LoaderError
from ffcv_hydra.loader import Loader
from ffcv_hydra.pipeline import FFCVPipelineManager

logger = logging.getLogger(__name__)

_MODES = {"train": "fit", "val": "validate", "test": "test", "predict": "predict"}
_GROUP = 4  # samples that operations mix, at most


def stage_loader(config: Mapping[str, Any], stage: str) -> tuple[FFCVPipelineManager, Loader]:
    """The manager of one stage and its loader; the stage's beton is converted if it is missing.

    Where there are fewer samples than a batch needs, with which no run begins, they are one smaller batch, for a look.

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
    make = getattr(datamodule, f"{stage}_dataloader")
    try:
        return manager, make()
    except FewSamplesError as error:
        refusal = error
    count = refusal.num_samples
    for size in filter(None, (count, count - count % _GROUP)):
        setattr(datamodule, f"{stage}_global_batch_size", size)
        with suppress(LoaderError):
            loader = make()
            logger.warning("%s: a run would be refused: %s", stage, refusal)
            return manager, loader
    raise refusal
