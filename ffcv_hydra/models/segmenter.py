"""Semantic segmentation around any backbone."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.classification import MulticlassJaccardIndex

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models.class_labels import check_range
from ffcv_hydra.models.class_weights import BALANCED, check_weights
from ffcv_hydra.models.components import built_loss, built_metrics, built_network
from ffcv_hydra.models.evaluated import EvaluatedModule, check_loss
from ffcv_hydra.models.images import unit_images

VOID = 255  # pixels of this class are neither learnt nor counted, as in PASCAL VOC and Cityscapes


class Segmenter(EvaluatedModule):
    """Train a backbone to name the class of each pixel with a cross-entropy, and measure its mean IoU.

    A batch is a tuple `(images, masks, ...)`: images `(N, C, H, W)`, floats or `uint8` (scaled to [0, 1]); masks of
    class ids `(N, H, W)`, with or without an axis of size 1 beside it, integers; 255 marks pixels to be left out. Logs
    `train_loss`, and for validation and test the loss (mean over pixels) and the mean intersection over union of the
    classes that occur, over all pixels of all ranks: `val_loss`, `val_miou`, `test_loss`, `test_miou`; and further
    metrics, see `EvaluatedModule`, which are given predicted class ids and masks `(N, H, W)`. Predicts class ids, int64
    `(N, H, W)`.

    Args:
        backbone: returns logits `(N, num_classes, H, W)` for images `(N, C, H, W)`; or a plain dictionary
            with its `_target_`.
        num_classes: number of classes, background included.
        optimizer: plain dictionary with a `_target_`, such as `{"_target_": "torch.optim.AdamW", "lr": 1e-3}`.
        scheduler: plain dictionary with a `_target_`, see `ffcv_hydra.models.optimization`; None for a constant rate.
        class_weights: how much the pixels of each class count in the cross-entropy; None for alike.
        loss: plain dictionary with a `_target_`, of a module that is given logits `(N, num_classes, H, W)` and masks,
            with 255 in them, and returns a mean over pixels; None for the cross-entropy.
        metrics: by name, plain dictionaries with a `_target_` of torchmetrics; `num_classes` and `ignore_index` are
            filled in.

    Raises:
        ConfigError: arguments that do not fit together, or a loss or metric that cannot be built; in a step, images and
            masks that do not fit.
    """

    plain_arguments: ClassVar[tuple[str, ...]] = ("optimizer", "scheduler", "loss", "metrics")
    class_weights: Tensor | None

    def __init__(
        self,
        backbone: nn.Module | Mapping[str, Any],
        num_classes: int,
        optimizer: Mapping[str, Any],
        scheduler: Mapping[str, Any] | None = None,
        class_weights: Sequence[float] | None = None,
        loss: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if class_weights == BALANCED:
            raise ConfigError(f"model.class_weights={BALANCED} would have to count pixels; give a list of weights")
        check_weights(class_weights, num_classes, "multiclass")
        if class_weights is not None and loss is not None:
            raise ConfigError("model.class_weights is for our own losses; give model.loss its weights itself")
        self.save_hyperparameters(ignore=["backbone"] if isinstance(backbone, nn.Module) else [])
        self.backbone = built_network(backbone)
        self.num_classes = num_classes
        self.optimizer = optimizer
        self.scheduler = scheduler
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)
        self.loss = built_loss(loss)
        defaults = {"task": "multiclass", "num_classes": num_classes, "ignore_index": VOID}
        miou = MulticlassJaccardIndex(num_classes, average="macro", ignore_index=VOID)
        self.measure({"miou": miou} | built_metrics(metrics, defaults))

    def check_batch(self, batch: Sequence[Any]) -> None:
        """Try masks, and loss and metrics on the first one, with logits that are all zero; raises `ConfigError`."""
        if len(batch) < 2:
            return
        check_range(batch[1], self.num_classes, void=VOID)
        masks = _masks(batch)[:1]
        logits = torch.zeros(len(masks), self.num_classes, *masks.shape[1:])
        check_loss(self.loss, logits, masks)
        self.evaluations["val"].check(logits.argmax(dim=1), masks)  # type: ignore[operator]

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if not self.trainer.predicting and len(batch) > 1:
            check_range(batch[1], self.num_classes, void=VOID)
        return batch

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(N, num_classes, H, W)` for images `(N, C, H, W)`."""
        return self.backbone(unit_images(images, self.dtype))

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        loss, _ = self._loss(*self._logits_and_masks(batch))
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def predict_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        return self(batch[0]).argmax(dim=1)

    def evaluate(self, batch: Sequence[Tensor], stage: str) -> None:
        logits, masks = self._logits_and_masks(batch)
        self.evaluations[stage].update(*self._loss(logits, masks), logits.argmax(dim=1), masks)  # type: ignore[operator]

    def _logits_and_masks(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        masks = _masks(batch)
        return self(batch[0]), masks

    def _loss(self, logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """The mean over the pixels that are not void, and what that is a mean over; 0 (and no gradient) if none is."""
        is_known = masks != VOID
        if self.loss is not None:
            mean, count = self.loss(logits, masks), is_known.sum()
            return torch.where(count > 0, mean, 0.0), count  # the mean of no pixels may be no number
        count = is_known.sum() if self.class_weights is None else self.class_weights[masks[is_known]].sum()
        total = functional.cross_entropy(logits, masks, self.class_weights, ignore_index=VOID, reduction="sum")
        return total / (count + (count == 0)), count


def _masks(batch: Sequence[Tensor]) -> Tensor:
    """Masks int64 `(N, H, W)`; raises `ConfigError` if they are none of the images."""
    images, masks = batch[0], batch[1]
    fits = images.ndim == 4 and masks.numel() == images.shape[0] * images.shape[2] * images.shape[3]
    if not fits or masks.is_floating_point():
        raise ConfigError(
            "the segmenter needs images (N, C, H, W) and masks (N, H, W) of whole numbers, not "
            f"{tuple(images.shape)} and {masks.dtype} {tuple(masks.shape)}; give both one size, and end the "
            "image's pipeline in ToTorchImage"
        )
    return masks.reshape(len(images), *images.shape[2:]).long()
