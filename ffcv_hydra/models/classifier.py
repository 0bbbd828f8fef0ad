"""An image classifier around any backbone."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models.class_weights import BALANCED, balanced_weights, check_weights
from ffcv_hydra.models.components import built_loss, built_metrics, built_network
from ffcv_hydra.models.evaluated import EvaluatedModule, check_loss
from ffcv_hydra.models.images import unit_images
from ffcv_hydra.models.tasks import TASKS
from ffcv_hydra.nearest import hint


class Classifier(EvaluatedModule):
    """Train a backbone to tell images' classes, or values, and measure how well it does.

    A batch is a tuple `(images, targets, ...)`: images `(N, C, H, W)`, floats or `uint8` (scaled to [0, 1]); targets by
    task. Logs `train_loss`, and for validation and test the loss, `accuracy` (of a regression `mae`, the mean absolute
    error), and further metrics, exact over all samples of all ranks: `val_loss`, `val_accuracy`, `test_loss`, ...; see
    `EvaluatedModule`. A step of an evaluation returns `{"logits": (N, num_classes), "labels": targets}`.

    | task | targets | loss | predicts, and metrics get |
    |---|---|---|---|
    | multiclass | integers `(N,)` or `(N, 1)`, or shares `(N, num_classes)` | cross-entropy | probabilities |
    | multilabel | zeros and ones `(N, num_classes)` | binary cross-entropy | probabilities |
    | regression | `(N, num_classes)`, or `(N,)` for one | mean squared error | values |

    Args:
        backbone: returns logits `(N, num_classes)` for images `(N, C, H, W)`; or a plain dictionary
            with its `_target_`.
        num_classes: number of classes; of a regression, of values.
        optimizer: plain dictionary with a `_target_`, such as `{"_target_": "torch.optim.AdamW", "lr": 1e-3}`.
        scheduler: plain dictionary with a `_target_`, see `ffcv_hydra.models.optimization`; None for a constant rate.
        label_smoothing: part of the target that is spread over all classes, in training only.
        mean: per channel, in units of images in [0, 1]; subtracted. None leaves the images as they are.
        std: per channel, likewise; divided by. Given together with `mean`.
        class_weights: how much each class counts in the loss, as `torch.nn.functional.cross_entropy` has it (of several
            labels, `pos_weight` of `binary_cross_entropy_with_logits`); "balanced": inverse to how many training
            samples it has; None for alike. The metrics count samples.
        task: "multiclass", "multilabel" or "regression".
        loss: plain dictionary with a `_target_`, of a module that is given logits and targets and returns a mean over
            samples; None for the task's. It is there in evaluations, too.
        metrics: by name, plain dictionaries with a `_target_` of torchmetrics; their number of classes is filled in.

    Raises:
        ConfigError: arguments that do not fit together, or a loss or metric that cannot be built; when a fit begins,
            classes that cannot be balanced; in a step, data or a backbone that do not fit.
    """

    plain_arguments: ClassVar[tuple[str, ...]] = ("optimizer", "scheduler", "loss", "metrics")
    label_stages: tuple[str, ...] = ()  # where labels have to be in [0, num_classes)
    mean: Tensor | None
    std: Tensor | None
    class_weights: Tensor | None

    def __init__(
        self,
        backbone: nn.Module | Mapping[str, Any],
        num_classes: int,
        optimizer: Mapping[str, Any],
        scheduler: Mapping[str, Any] | None = None,
        label_smoothing: float = 0.0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        class_weights: Sequence[float] | str | None = None,
        task: str = "multiclass",
        loss: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if (mean is None) != (std is None):
            raise ConfigError("model.mean and model.std belong together; give both or neither")
        if task not in TASKS:
            raise ConfigError(f"model.task={task}: {hint(task, TASKS)}")
        check_weights(class_weights, num_classes, task)
        if label_smoothing and (task == "regression" or loss is not None):
            raise ConfigError(f"model.label_smoothing={label_smoothing} is for our own losses of classes; set it to 0")
        if class_weights is not None and loss is not None:
            raise ConfigError("model.class_weights is for our own losses; give model.loss its weights itself")
        self.save_hyperparameters(ignore=["backbone"] if isinstance(backbone, nn.Module) else [])
        self.backbone = built_network(backbone)
        self.num_classes = num_classes
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.label_smoothing = label_smoothing
        self.task = TASKS[task](num_classes)
        self.label_stages = ("train", "val", "test") if task == "multiclass" else ()
        self.loss = built_loss(loss)
        self.measure(self.task.metrics() | built_metrics(metrics, self.task.of_metrics))
        self.register_buffer("mean", None if mean is None else torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", None if std is None else torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        self.is_balanced = class_weights == BALANCED
        weights = [1.0] * num_classes if self.is_balanced else class_weights
        buffer = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        # what was counted is for evaluations, too, which may be without the training's data
        self.register_buffer("class_weights", buffer, persistent=self.is_balanced)

    def make_room_for(self, weights: Mapping[str, Any]) -> None:
        """Have a checkpoint's weights loadable that were counted for `class_weights="balanced"`, where none are given.

        An evaluation has the loss of the training then.
        """
        if "class_weights" in weights and self.class_weights is None and self.loss is None:
            self.register_buffer("class_weights", torch.ones(self.num_classes))

    def setup(self, stage: str) -> None:
        """Count the classes that are to be balanced; raises `ConfigError` if that cannot be."""
        super().setup(stage)
        if self.is_balanced and stage == "fit" and self.class_weights is not None:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            self.class_weights.copy_(torch.tensor(balanced_weights(data, self.num_classes)))

    def check_batch(self, batch: Sequence[Any]) -> None:
        """Try targets, loss and metrics on a batch, with logits that are all zero; raises `ConfigError`."""
        if len(batch) < 2 or isinstance(batch[0], list | tuple):
            return
        logits = torch.zeros(len(batch[0]), self.num_classes)
        targets = self.task.targets(batch[1], logits)
        self.task.check(batch[1])
        check_loss(self.loss, self.task.outputs(logits), targets)
        self.evaluations["val"].check(self.task.predictions(logits), self.task.truth(targets))  # type: ignore[operator]

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if not self.trainer.predicting and len(batch) > 1:
            self.task.check(batch[1])
        return batch

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(N, num_classes)` for images `(N, C, H, W)`."""
        if images.ndim != 4:
            raise ConfigError(
                f"the classifier needs images (N, C, H, W), not {tuple(images.shape)}; end the pipeline in ToTorchImage"
            )
        images = unit_images(images, self.dtype)
        if self.mean is not None and self.std is not None:
            images = (images - self.mean) / self.std
        return self.backbone(images)

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        loss = self._loss(*self._logits_and_targets(batch), smoothing=self.label_smoothing)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def predict_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        return self.task.predictions(self(batch[0]))

    def _loss(self, logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        if self.loss is not None:
            return self.loss(self.task.outputs(logits), targets)
        return self.task.loss(logits, targets, self.class_weights, smoothing)

    def evaluate(self, batch: Sequence[Tensor], stage: str) -> dict[str, Tensor]:
        logits, targets = self._logits_and_targets(batch)
        count = self.task.mean_over(targets, self.class_weights)
        predictions, truth = self.task.predictions(logits), self.task.truth(targets)
        self.evaluations[stage].update(self._loss(logits, targets), count, predictions, truth)  # type: ignore[operator]
        return {"logits": logits.detach(), "labels": targets}

    def _logits_and_targets(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        logits = self(batch[0])
        if logits.shape != (len(batch[0]), self.num_classes):
            raise ConfigError(
                f"model.backbone gives {tuple(logits.shape)} for {len(batch[0])} images; with model.num_classes="
                f"{self.num_classes} that has to be ({len(batch[0])}, {self.num_classes}): set its number of classes"
            )
        return logits, self.task.targets(batch[1] if len(batch) > 1 else None, logits)
