"""The labels of a batch: that they are what a model of classes takes."""

from typing import Any

from torch import Tensor

from ffcv_hydra.errors import ConfigError


def class_ids(labels: Any, num_samples: int) -> Tensor:
    """Return class ids (N,), int64, of labels (N,) or (N, 1), whole numbers; raises `ConfigError` for other ones."""
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.numel() != num_samples:
        what = f"{labels.dtype} {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise ConfigError(
            f"the second output of the pipeline has to be labels: whole numbers, (N,) or (N, 1); it is {what}. "
            "`FIELD: disabled` in the pipeline leaves out what stands before them"
        )
    return labels.reshape(-1).long()


def check_range(ids: Any, num_classes: int, void: int | None = None) -> None:
    """Check class ids of any shape, if they are whole numbers and on the CPU.

    On a GPU, and often on the CPU, one that is out of range ends in an error that says nothing of labels, and a
    negative one may be left out without a word.

    Raises:
        ConfigError: one is not in [0, num_classes) and not `void`.
    """
    if not isinstance(ids, Tensor) or ids.is_floating_point() or ids.device.type != "cpu" or not ids.numel():
        return
    low, high = (int(bound) for bound in ids.aminmax())
    if void is not None and high == void:
        known = ids[ids != void]
        high = int(known.max()) if known.numel() else low
    if low < 0 or (high >= num_classes and high != void):
        raise ConfigError(
            f"a label of {low if low < 0 else high} with model.num_classes={num_classes}: labels have to be in "
            f"[0, {num_classes - 1}]; set dataset.num_classes to how many classes there are"
        )
