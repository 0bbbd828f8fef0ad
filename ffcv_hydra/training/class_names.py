"""That a number stands for the same class in the data and in what the model has learnt."""

import logging
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only

from ffcv_hydra.callbacks.prediction_writer import CLASS_NAMES
from ffcv_hydra.datamodule import FFCVDataModule
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models import Classifier, Segmenter

log = logging.getLogger(__name__)


class ClassNames(pl.Callback):
    """Keeps the names of the training's classes in checkpoints, and compares them with those of other data.

    Folders of classes are numbered by their order: of a folder with one class more or less, or with other names, the
    numbers mean something else, and all figures would be wrong without a word. A `Classifier` and a `Segmenter` are
    compared; a prediction needs no labels, so its data may be called anything.
    """

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        if (names := _names(trainer, "train")) is not None:
            checkpoint[CLASS_NAMES] = list(names)

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Compare; raises `ConfigError` where a class that both know has another number."""
        learnt, stage = checkpoint.get(CLASS_NAMES), "train"
        if trainer.evaluating:
            stage = "val" if trainer.validating else "test"
        if not trainer.predicting and learnt is not None and isinstance(pl_module, Classifier | Segmenter):
            _compare(learnt, _names(trainer, stage) or (), f"ckpt_path={trainer.ckpt_path}: {stage}")


def _names(trainer: Any, stage: str) -> Sequence[str] | None:
    data = trainer.datamodule
    return data.class_names_of(stage) if isinstance(data, FFCVDataModule) else None


def _compare(learnt: Sequence[str], found: Sequence[str], place: str) -> None:
    """Refuse what is numbered otherwise, and tell of other names; classes that come behind are left alone."""
    differing = [number for number, names in enumerate(zip(learnt, found, strict=False)) if names[0] != names[1]]
    for number in differing:
        told = f"{place}: class {number} is {found[number]!r} in the data and was {learnt[number]!r} in the training"
        if found[number] in learnt or learnt[number] in found:
            raise ConfigError(
                f"{told}: its numbers mean other classes to this checkpoint; give the data the training's classes, "
                "all of them and in its order"
            )
    if differing:
        rank_zero_only(log.warning)("%s; they are taken for the same class", told)
