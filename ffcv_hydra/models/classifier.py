"""An image classifier around any backbone."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models.class_labels import check_range, class_ids
from ffcv_hydra.models.images import unit_images
from ffcv_hydra.models.mean_loss import mean_loss
from ffcv_hydra.models.optimization import configure_optimizers


class Classifier(pl.LightningModule):
    """Train a backbone with a cross-entropy, and measure its accuracy.

    A batch is a tuple `(images, labels, ...)`: images `(N, C, H, W)`, floats or `uint8` (scaled to [0, 1]); labels
    `(N,)` or `(N, 1)`, integers, or the classes' shares `(N, num_classes)` that Mixup and CutMix give. Logs
    `train_loss`, and for validation and test the loss and the accuracy (`val_loss`, `val_accuracy`, `test_loss`,
    `test_accuracy`), exact over all samples of all ranks. Predicts probabilities, `(N, num_classes)`.

    Args:
        backbone: returns logits `(N, num_classes)` for images `(N, C, H, W)`.
        num_classes: number of classes.
        optimizer: plain dictionary with a `_target_`, such as `{"_target_": "torch.optim.AdamW", "lr": 1e-3}`.
        scheduler: plain dictionary with a `_target_`, see `ffcv_hydra.models.optimization`; None for a constant rate.
        label_smoothing: part of the target that is spread over all classes, in training only.
        mean: per channel, in units of images in [0, 1]; subtracted. None leaves the images as they are.
        std: per channel, likewise; divided by. Given together with `mean`.
        class_weights: how much each class counts in the loss, as `torch.nn.functional.cross_entropy` has it; None for
            alike. The accuracy counts samples.

    Raises:
        ConfigError: only one of `mean` and `std` is given, or another number of weights than of classes; in a step,
            data or a backbone that do not fit.
    """

    label_stages: ClassVar[tuple[str, ...]] = ("train", "val", "test")  # where labels have to be in [0, num_classes)
    mean: Tensor | None
    std: Tensor | None
    class_weights: Tensor | None

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        optimizer: Mapping[str, Any],
        scheduler: Mapping[str, Any] | None = None,
        label_smoothing: float = 0.0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if (mean is None) != (std is None):
            raise ConfigError("model.mean and model.std belong together; give both or neither")
        if class_weights is not None and len(class_weights) != num_classes:
            raise ConfigError(f"model.class_weights has {len(class_weights)} weights for {num_classes} classes")
        self.save_hyperparameters(ignore=["backbone"])
        self.backbone = backbone
        self.num_classes = num_classes
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.label_smoothing = label_smoothing
        self.register_buffer("mean", None if mean is None else torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", None if std is None else torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)
        self.val_loss = mean_loss()
        self.val_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.test_loss = mean_loss()
        self.test_accuracy = MulticlassAccuracy(num_classes, average="micro")

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if not self.trainer.predicting and len(batch) > 1:
            check_range(batch[1], self.num_classes)
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
        logits, labels = self._logits_and_labels(batch)
        loss = functional.cross_entropy(logits, labels, self.class_weights, label_smoothing=self.label_smoothing)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "val", self.val_loss, self.val_accuracy)

    def test_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "test", self.test_loss, self.test_accuracy)

    def predict_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        return self(batch[0]).softmax(dim=1)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return configure_optimizers(self, self.optimizer, self.scheduler)

    def _evaluate(self, batch: Sequence[Tensor], stage: str, loss: MeanMetric, accuracy: MulticlassAccuracy) -> None:
        logits, labels = self._logits_and_labels(batch)
        # what the mean is one over: for shares of classes torch divides by the samples, weighted or not
        is_weighted = self.class_weights is not None and labels.ndim == 1
        count = self.class_weights[labels].sum() if is_weighted else len(labels)  # type: ignore[index]
        loss.update(functional.cross_entropy(logits, labels, self.class_weights), weight=count)
        accuracy.update(logits, labels if labels.ndim == 1 else labels.argmax(1))
        self.log(f"{stage}_loss", loss, prog_bar=True)
        self.log(f"{stage}_accuracy", accuracy, prog_bar=True)

    def _logits_and_labels(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        labels = batch[1] if len(batch) > 1 else None
        logits = self(batch[0])
        if logits.shape != (len(batch[0]), self.num_classes):
            raise ConfigError(
                f"model.backbone gives {tuple(logits.shape)} for {len(batch[0])} images; with model.num_classes="
                f"{self.num_classes} that has to be ({len(batch[0])}, {self.num_classes}): set its number of classes"
            )
        if isinstance(labels, Tensor) and labels.is_floating_point() and labels.shape == logits.shape:
            return logits, labels
        return logits, class_ids(labels, len(logits))
