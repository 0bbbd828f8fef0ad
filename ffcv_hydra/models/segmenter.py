"""Semantic segmentation around any backbone."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassJaccardIndex

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models.class_labels import check_range
from ffcv_hydra.models.images import unit_images
from ffcv_hydra.models.mean_loss import mean_loss
from ffcv_hydra.models.optimization import configure_optimizers

VOID = 255  # pixels of this class are neither learnt nor counted, as in PASCAL VOC and Cityscapes


class Segmenter(pl.LightningModule):
    """Train a backbone to name the class of each pixel with a cross-entropy, and measure its mean IoU.

    A batch is a tuple `(images, masks, ...)`: images `(N, C, H, W)`, floats or `uint8` (scaled to [0, 1]); masks of
    class ids `(N, H, W)`, with or without an axis of size 1 beside it, integers; 255 marks pixels to be left out. Logs
    `train_loss`, and for validation and test the loss (mean over pixels) and the mean intersection over union of the
    classes that occur, over all pixels of all ranks: `val_loss`, `val_miou`, `test_loss`, `test_miou`. Predicts class
    ids, int64 `(N, H, W)`.

    Args:
        backbone: returns logits `(N, num_classes, H, W)` for images `(N, C, H, W)`.
        num_classes: number of classes, background included.
        optimizer: plain dictionary with a `_target_`, such as `{"_target_": "torch.optim.AdamW", "lr": 1e-3}`.
        scheduler: plain dictionary with a `_target_`, see `ffcv_hydra.models.optimization`; None for a constant rate.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        optimizer: Mapping[str, Any],
        scheduler: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["backbone"])
        self.backbone = backbone
        self.num_classes = num_classes
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.val_loss = mean_loss()
        self.val_miou = MulticlassJaccardIndex(num_classes, average="macro", ignore_index=VOID)
        self.test_loss = mean_loss()
        self.test_miou = MulticlassJaccardIndex(num_classes, average="macro", ignore_index=VOID)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if not self.trainer.predicting and len(batch) > 1:
            check_range(batch[1], self.num_classes, void=VOID)
        return batch

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(N, num_classes, H, W)` for images `(N, C, H, W)`."""
        return self.backbone(unit_images(images, self.dtype))

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        logits, masks = self._logits_and_masks(batch)
        loss, _ = _mean_over_pixels(logits, masks)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "val", self.val_loss, self.val_miou)

    def test_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        self._evaluate(batch, "test", self.test_loss, self.test_miou)

    def predict_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        return self(batch[0]).argmax(dim=1)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return configure_optimizers(self, self.optimizer, self.scheduler)

    def _evaluate(self, batch: Sequence[Tensor], stage: str, loss: MeanMetric, miou: MulticlassJaccardIndex) -> None:
        logits, masks = self._logits_and_masks(batch)
        loss.update(*_mean_over_pixels(logits, masks))
        miou.update(logits.argmax(dim=1), masks)
        self.log(f"{stage}_loss", loss, prog_bar=True)
        self.log(f"{stage}_miou", miou, prog_bar=True)

    def _logits_and_masks(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        images, masks = batch[0], batch[1]
        fits = images.ndim == 4 and masks.numel() == images.shape[0] * images.shape[2] * images.shape[3]
        if not fits or masks.is_floating_point():
            raise ConfigError(
                "the segmenter needs images (N, C, H, W) and masks (N, H, W) of whole numbers, not "
                f"{tuple(images.shape)} and {masks.dtype} {tuple(masks.shape)}; give both one size, and end the "
                "image's pipeline in ToTorchImage"
            )
        return self(images), masks.reshape(len(images), *images.shape[2:]).long()


def _mean_over_pixels(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """The cross-entropy of the pixels that are not void, and how many these are; 0 (and no gradient) if none is."""
    count = (masks != VOID).sum()
    total = functional.cross_entropy(logits, masks, ignore_index=VOID, reduction="sum")
    return total / count.clamp(min=1), count
