"""What a run's pipeline makes of its samples, as a picture: the same config, order, seed and augmentations."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ffcv_hydra.building.stage_loader import stage_loader
from ffcv_hydra.collection.mixture import Mixture
from ffcv_hydra.collection.shards import opened
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.loader import Loader
from ffcv_hydra.pipeline import FFCVPipelineManager
from ffcv_hydra.preview.columns import columns_of
from ffcv_hydra.preview.drawing import draw


def preview(
    config: Mapping[str, Any],
    output: str | Path,
    stage: str = "train",
    num_samples: int = 8,
    epoch: int = 0,
    num_epochs: int = 4,
    channels: Sequence[int] = (),
) -> Path:
    """Draw the first samples of a stage: as they are stored, and as a run would read them in some epochs.

    The samples are the first ones of epoch `epoch` and stay the same in the next epochs, in which each is augmented
    as a run of the config's seed does it. A beton that is missing is converted first. What `pipeline.device` does to
    whole batches is left out.

    Args:
        config: the composed run config, resolved.
        output: the PNG to write; folders that are missing are made.
        stage: train, val, test or predict.
        num_samples: how many samples; fewer if the stage has fewer.
        epoch: the first epoch.
        num_epochs: how many epochs.
        channels: of images of many channels, the three that are shown as red, green and blue, or one; by default the
            first ones.

    Returns:
        Where the picture is.

    Raises:
        ConfigError: the stage's pipeline gives no images, the dataset has no such split, or `output` cannot be written.
        FFCVHydraError: as training with this config would.
    """
    output = Path(output).absolute()
    manager, loader = stage_loader(config, stage)
    loader.sampler.set_epoch(epoch)
    ids = _first_ids(loader, num_samples)
    if isinstance(manager.file_path, Mixture):  # of which chosen samples have no shares
        manager = replace(manager, file_path=manager.file_path.in_turn())
    epochs = range(epoch, epoch + num_epochs)
    batches = _batches(manager, loader, config["loader"]["replace_ffcv_operations"], ids, epochs)
    beton = opened(manager.file_path, manager.custom_fields)
    columns, notes = columns_of(manager, beton, ids, batches, channels)
    if not columns:
        given = ", ".join(loader.output_names)
        raise ConfigError(
            f"pipeline.{stage} gives no images to look at, only {given}; choose another pipeline or stage"
        )
    title = f"{config['dataset']['name']}, {stage}, seed {loader.seed}"
    notes.append(f"{len(ids)} of {loader.num_samples} samples of {beton.path.name}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        draw(columns, title, notes, output)
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror}; choose another --output") from error
    return output


def _first_ids(loader: Loader, count: int) -> np.ndarray:
    """int64: the ids of the first samples of the loader's epoch, or of a few more where these are mixed."""
    count += -count % loader.plan.group_size
    needed = min(len(loader), -(-count // loader.batch_size))
    return np.concatenate([loader.sample_ids(index) for index in range(needed)])[:count]


def _batches(
    manager: FFCVPipelineManager, whole: Loader, replace: bool, ids: np.ndarray, epochs: range
) -> dict[int, dict[str, Any]]:
    """By epoch and output name, what the stage's pipeline makes of the samples `ids`."""
    loader = Loader(
        manager.file_path,
        len(ids),
        pipelines=manager.pipeline_transforms,
        indices=ids,
        seed=whole.seed,
        num_workers=1,
        drop_last=True,  # of one batch, which is full
        replace_ffcv_operations=replace,
        custom_fields=manager.custom_fields,
    )
    found = {}
    for epoch in epochs:
        loader.sampler.set_epoch(epoch)
        [batch] = loader
        found[epoch] = dict(zip(loader.output_names, batch, strict=True))
    return found
