"""How much each class counts in a loss."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ffcv_hydra.errors import ConfigError

BALANCED = "balanced"


def check_weights(weights: Sequence[float] | str | None, num_classes: int, task: str) -> None:
    """Refuse weights that do not fit the classes or the task, by a `ConfigError`."""
    if weights is None:
        return
    if task == "regression":
        raise ConfigError("model.class_weights: a regression has no classes; leave them out")
    if isinstance(weights, str):
        if weights != BALANCED:
            raise ConfigError(f"model.class_weights={weights}: give a number for each class, or '{BALANCED}'")
        if task != "multiclass":
            raise ConfigError(f"model.class_weights={BALANCED} is for numbers of classes; give {task} a list")
    elif len(weights) != num_classes:
        raise ConfigError(f"model.class_weights has {len(weights)} weights for {num_classes} classes")
    elif not all(isinstance(weight, int | float) and 0 <= weight < math.inf for weight in weights):
        raise ConfigError(f"model.class_weights={list(weights)}: give numbers from 0 on")
    elif not any(weights):
        raise ConfigError(f"model.class_weights={list(weights)}: no class counts; give one of them more than 0")


def balanced_weights(data: Any, num_classes: int) -> list[float]:
    """Weights that are inverse to how many training samples each class has, and 1 on the mean over the samples.

    That is N / (num_classes * count), as scikit-learn's `class_weight="balanced"` has it.

    Args:
        data: the trainer's data module; an `FFCVDataModule` counts.
        num_classes: how many there are.

    Raises:
        ConfigError: the samples cannot be counted, or a class has none.
    """
    counts = data.class_counts("train", num_classes) if hasattr(data, "class_counts") else None
    if counts is None:
        raise ConfigError(
            f"model.class_weights={BALANCED}: the training's labels cannot be counted, since they are not read as they "
            "are stored, or a mixture's shares change with the epoch; give a list of weights"
        )
    if lacking := np.flatnonzero(counts == 0).tolist():
        names = data.class_names
        named = f" ({names[lacking[0]]})" if names is not None and len(names) == num_classes else ""
        raise ConfigError(
            f"model.class_weights={BALANCED}: class {lacking[0]}{named} has no training sample"
            f"{f' and {len(lacking) - 1} others have none' if lacking[1:] else ''}; add some, or give a list of weights"
        )
    return (counts.sum() / (num_classes * counts)).tolist()
