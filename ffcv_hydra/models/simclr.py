"""Self-supervised learning from two views of each image: SimCLR."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytorch_lightning as pl
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models.class_labels import check_range, class_ids
from ffcv_hydra.models.components import built_network
from ffcv_hydra.models.images import unit_images
from ffcv_hydra.models.nearest_neighbours import NearestNeighbourAccuracy
from ffcv_hydra.models.nt_xent import nt_xent
from ffcv_hydra.models.optimization import configure_optimizers


class SimCLR(pl.LightningModule):
    """Train a backbone to recognise two views of one image among those of other images (Chen et al., 2020).

    A training batch holds a list of two views, each `(N, C, H, W)`, floats or `uint8` (scaled to [0, 1]); all else in
    it is ignored, labels included. The negatives are the other images of the same process's batch. An evaluation
    batch is a tuple `(images, labels, ...)`; labels only serve to measure, by the nearest neighbours of each sample's
    features, how well these tell classes apart. Logs `train_loss`, `val_knn_accuracy` and `test_knn_accuracy`, and
    predicts features `(N, D)`.

    Args:
        backbone: a classifier of images; its last linear layer is taken off, and what goes into that are the features;
            or a plain dictionary with its `_target_`.
        num_classes: number of classes that the labels of an evaluation have.
        optimizer: plain dictionary with a `_target_`, such as `{"_target_": "torch.optim.AdamW", "lr": 1e-3}`.
        scheduler: plain dictionary with a `_target_`, see `ffcv_hydra.models.optimization`; None for a constant rate.
        projection_size: length of the vectors that the loss compares.
        temperature: of the loss.

    Raises:
        ConfigError: the backbone has no linear layer.
    """

    label_stages: ClassVar[tuple[str, ...]] = ("val", "test")  # where labels have to be in [0, num_classes)

    def __init__(
        self,
        backbone: nn.Module | Mapping[str, Any],
        num_classes: int,
        optimizer: Mapping[str, Any],
        scheduler: Mapping[str, Any] | None = None,
        projection_size: int = 64,
        temperature: float = 0.2,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["backbone"] if isinstance(backbone, nn.Module) else [])
        self.num_classes = num_classes
        self.backbone = built_network(backbone)
        size = _take_off_head(self.backbone)
        self.projection = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, projection_size))
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.temperature = temperature
        self.val_knn_accuracy = NearestNeighbourAccuracy(num_classes)
        self.test_knn_accuracy = NearestNeighbourAccuracy(num_classes)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if not (self.trainer.training or self.trainer.predicting) and len(batch) > 1:
            check_range(batch[1], self.num_classes)
        return batch

    def forward(self, images: Tensor) -> Tensor:
        """Return features `(N, D)` of images `(N, C, H, W)`."""
        return self.backbone(unit_images(images, self.dtype))

    def training_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
        first, second = (self.projection(self(view)) for view in _two_views(batch))
        loss = nt_xent(first, second, self.temperature)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        self.val_knn_accuracy.update(self(batch[0]), class_ids(batch[1], len(batch[0])))
        self.log("val_knn_accuracy", self.val_knn_accuracy, prog_bar=True)

    def test_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        self.test_knn_accuracy.update(self(batch[0]), class_ids(batch[1], len(batch[0])))
        self.log("test_knn_accuracy", self.test_knn_accuracy, prog_bar=True)

    def predict_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        return self(batch[0])

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return configure_optimizers(self, self.optimizer, self.scheduler)


def _take_off_head(backbone: nn.Module) -> int:
    """Put an identity for the last linear layer of `backbone`; returns the size of what went into it."""
    linear = {name: module for name, module in backbone.named_modules() if isinstance(module, nn.Linear) and name}
    if not linear:
        raise ConfigError(
            f"model.backbone: {type(backbone).__name__} has no linear layer at its end; name a classifier"
        )
    path, head = list(linear.items())[-1]
    parent, _, name = path.rpartition(".")
    setattr(backbone.get_submodule(parent), name, nn.Identity())
    return head.in_features


def _two_views(batch: Sequence[Any]) -> Sequence[Tensor]:
    views = [item for item in batch if isinstance(item, list | tuple)]
    if len(views) != 1 or len(views[0]) != 2:
        raise ConfigError("SimCLR needs one output with two views; see `views` in conf/pipeline/two_views.yaml")
    return views[0]
