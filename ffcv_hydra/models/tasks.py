"""What a classifier's targets may be: the number of a class, several classes at once, or values."""

from collections.abc import Mapping
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import MeanAbsoluteError, Metric
from torchmetrics.classification import MulticlassAccuracy, MultilabelAccuracy

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models.class_labels import check_range, class_ids
from ffcv_hydra.models.evaluated import shown

SUM_TOLERANCE = 0.02  # of shares in 16 bits


class Multiclass:
    """Each sample is of one class: labels are whole numbers `(N,)` or `(N, 1)`.

    In training they may be the classes' shares `(N, num_classes)`, as Mixup and CutMix give them.
    """

    least_classes = 2

    def __init__(self, num_classes: int) -> None:
        if num_classes < self.least_classes:
            raise ConfigError(
                f"model.num_classes={num_classes}: a classifier has {self.least_classes} classes at least; "
                "model.task=regression tells values, and one is enough"
            )
        self.num_classes = num_classes
        self.of_metrics: Mapping[str, Any] = {"task": "multiclass", "num_classes": num_classes}

    def metrics(self) -> dict[str, Metric]:
        """Those that are there without being asked for."""
        return {"accuracy": MulticlassAccuracy(self.num_classes, average="micro")}

    def check(self, labels: Any) -> None:
        """Refuse labels on the CPU that are out of range, or no shares, by a `ConfigError`."""
        check_range(labels, self.num_classes)
        if _is_on_cpu(labels) and labels.is_floating_point() and labels.ndim == 2 and labels.shape[1] > 1:
            sums = labels.sum(dim=1)
            if labels.min() < 0 or not ((sums - 1).abs() < SUM_TOLERANCE).all():
                raise ConfigError(
                    "model.task=multiclass: targets with a number for each class are shares, and have to sum to 1; "
                    "model.task=multilabel is for several classes at once"
                )

    def targets(self, labels: Any, logits: Tensor) -> Tensor:
        """The targets of the loss for logits `(N, num_classes)`; raises `ConfigError` for labels of another kind."""
        if isinstance(labels, Tensor) and labels.is_floating_point() and labels.shape == logits.shape:
            return labels
        return class_ids(labels, len(logits))

    def outputs(self, logits: Tensor) -> Tensor:
        """What losses compare with the targets."""
        return logits

    def predictions(self, logits: Tensor) -> Tensor:
        """What the model predicts, and metrics get: probabilities `(N, num_classes)`."""
        return logits.softmax(dim=1)

    def truth(self, targets: Tensor) -> Tensor:
        """The targets as metrics get them: numbers of classes `(N,)`."""
        return targets if targets.ndim == 1 else targets.argmax(1)

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor | None, smoothing: float = 0.0) -> Tensor:
        """The cross-entropy, a mean; 0, and no gradient, if no sample has a weight."""
        if weights is None or targets.ndim > 1:
            return functional.cross_entropy(logits, targets, weights, label_smoothing=smoothing)
        total = functional.cross_entropy(logits, targets, weights, label_smoothing=smoothing, reduction="sum")
        count = weights[targets].sum()
        return torch.where(count > 0, total, 0.0) / (count + (count == 0))

    def mean_over(self, targets: Tensor, weights: Tensor | None) -> Tensor | int:
        """What the loss is a mean over."""
        # for shares of classes torch divides by the samples, weighted or not
        return len(targets) if weights is None or targets.ndim > 1 else weights[targets].sum()


class Multilabel(Multiclass):
    """Each sample may be of several classes: targets are zeros and ones `(N, num_classes)`, or shares in between."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.of_metrics = {"task": "multilabel", "num_labels": num_classes}

    def metrics(self) -> dict[str, Metric]:
        """The share of the labels, all counted alike, that are right at a threshold of 0.5."""
        return {"accuracy": MultilabelAccuracy(self.num_classes, average="micro")}

    def check(self, labels: Any) -> None:
        """Refuse targets on the CPU that are not in [0, 1]."""
        if _is_on_cpu(labels):
            low, high = (float(bound) for bound in labels.aminmax())
            if not (low >= 0 and high <= 1):  # NaN, too
                raise ConfigError(
                    f"model.task=multilabel: a target of {high if low >= 0 else low:g}; targets have to be zeros and"
                    " ones, a row of model.num_classes for each sample"
                )

    def targets(self, labels: Any, logits: Tensor) -> Tensor:
        if not isinstance(labels, Tensor) or labels.shape != logits.shape:
            raise ConfigError(
                f"model.task=multilabel needs targets (N, {self.num_classes}) of zeros and ones, one for each of"
                f" model.num_classes={self.num_classes}; {_given(labels)}: store an array for each sample, or set"
                " model.task=multiclass for numbers of classes"
            )
        return labels.to(logits.dtype)

    def predictions(self, logits: Tensor) -> Tensor:
        """A probability for each class."""
        return logits.sigmoid()

    def truth(self, targets: Tensor) -> Tensor:
        """Zeros and ones."""
        return targets.round().long()

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor | None, smoothing: float = 0.0) -> Tensor:
        """The binary cross-entropy, a mean over samples and classes; `weights` are those of the ones."""
        targets = targets * (1 - smoothing) + smoothing / 2
        return functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights)

    def mean_over(self, targets: Tensor, weights: Tensor | None) -> Tensor | int:
        return len(targets)


class Regression(Multiclass):
    """Each sample has `num_classes` values to be told: targets `(N, num_classes)`, or `(N,)` for one."""

    least_classes = 1

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.of_metrics = {} if num_classes == 1 else {"num_outputs": num_classes}

    def metrics(self) -> dict[str, Metric]:
        """The mean absolute error over all values."""
        return {"mae": MeanAbsoluteError()}

    def check(self, labels: Any) -> None:
        """Refuse targets on the CPU that are no finite numbers."""
        if _is_on_cpu(labels) and not torch.isfinite(labels).all():
            raise ConfigError("model.task=regression: a target is NaN or infinite; leave such samples out")

    def targets(self, labels: Any, logits: Tensor) -> Tensor:
        if not isinstance(labels, Tensor) or labels.ndim > 2 or labels.numel() != logits.numel():
            raise ConfigError(
                f"model.task=regression needs targets of as many values for each sample as model.num_classes="
                f"{self.num_classes}; {_given(labels)}: change dataset.num_classes, or the targets"
            )
        return self.outputs(labels).to(logits.dtype)

    def outputs(self, logits: Tensor) -> Tensor:
        """The values: `(N,)` for one, else `(N, num_classes)`."""
        return logits.reshape(len(logits), *([self.num_classes] if self.num_classes > 1 else []))

    def predictions(self, logits: Tensor) -> Tensor:
        """The values: `(N,)` for one, else `(N, num_classes)`."""
        return self.outputs(logits)

    def truth(self, targets: Tensor) -> Tensor:
        """As they are."""
        return targets

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor | None, smoothing: float = 0.0) -> Tensor:
        """The mean squared error."""
        return functional.mse_loss(self.outputs(logits), targets)

    def mean_over(self, targets: Tensor, weights: Tensor | None) -> Tensor | int:
        return len(targets)


TASKS = {"multiclass": Multiclass, "multilabel": Multilabel, "regression": Regression}


def _is_on_cpu(labels: Any) -> TypeGuard[Tensor]:
    """Whether there is something to look at without waiting for a GPU."""
    return isinstance(labels, Tensor) and labels.device.type == "cpu" and labels.numel() > 0


def _given(labels: Any) -> str:
    return f"they are {shown(labels) if isinstance(labels, Tensor) else type(labels).__name__}"
