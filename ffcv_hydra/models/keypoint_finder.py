"""Key points of the one object in each image, around any network that gives a map for each point."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models.components import built_network
from ffcv_hydra.models.evaluated import EvaluatedModule
from ffcv_hydra.models.images import unit_images
from ffcv_hydra.models.point_distance import PointDistance


class KeypointFinder(EvaluatedModule):
    """Train a network to tell where the key points of the one object in each image are.

    The network gives a map for each point; its softmax is how likely the point is where, and the mean place by it is
    what is predicted (integral regression, Sun et al., 2018).

    A batch is a tuple `(images, points, ...)`: images `(N, C, H, W)`, floats or `uint8` (scaled to [0, 1]); points
    `(N, 1, num_points, 3)` with lengths `(N,)`, as a `KeypointsField` gives them, each x, y in pixels and visibility;
    those of visibility 0, and those of samples of length 0, are neither learnt nor counted. Logs `train_loss`, and for
    validation and test the loss (the mean distance, as a share of the larger side of the image), the mean distance in
    pixels and the share of the points that are near: `val_loss`, `val_distance`, `val_pck`. Predicts x and y,
    float32 `(N, num_points, 2)`.

    Args:
        backbone: returns maps `(N, num_points, h, w)` for images `(N, C, H, W)`, such as a `UNet`; or a plain
            dictionary with its `_target_`.
        num_points: of the object.
        optimizer: plain dictionary with a `_target_`, such as `{"_target_": "torch.optim.AdamW", "lr": 1e-3}`.
        scheduler: plain dictionary with a `_target_`, see `ffcv_hydra.models.optimization`; None for a constant rate.
        near: pixels up to which a point counts as found in `pck`.

    Raises:
        ConfigError: arguments that do not fit together; in a step, a batch of another kind.
    """

    plain_arguments: ClassVar[tuple[str, ...]] = ("optimizer", "scheduler")

    def __init__(
        self,
        backbone: nn.Module | Mapping[str, Any],
        num_points: int,
        optimizer: Mapping[str, Any],
        scheduler: Mapping[str, Any] | None = None,
        near: float = 2.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["backbone"] if isinstance(backbone, nn.Module) else [])
        self.backbone = built_network(backbone)
        self.num_classes = self.num_points = num_points
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.measure({"points": PointDistance(near)})

    def check_batch(self, batch: Sequence[Any]) -> None:
        """Refuse what is no batch of points, or has several objects in an image, by a `ConfigError`."""
        if len(batch) > 1:
            self._points(batch)
            most = int(batch[1].lengths.max())
            if most > 1:
                raise ConfigError(
                    f"an image has the points of {most} objects, and the finder tells those of one: store a crop of "
                    "each object, or use a model of your own"
                )

    def forward(self, images: Tensor) -> Tensor:
        """Return x and y in pixels, float32 `(N, num_points, 2)`, for images `(N, C, H, W)`."""
        maps = self.backbone(unit_images(images, self.dtype))
        if maps.ndim != 4 or maps.shape[1] != self.num_points:
            raise ConfigError(
                f"model.backbone gives {tuple(maps.shape)} for images {tuple(images.shape)}; the finder needs "
                f"(N, num_points, h, w), with model.num_points={self.num_points}"
            )
        stride = images.shape[2] / maps.shape[2]
        likely = maps.float().flatten(2).softmax(dim=2).view(maps.shape)
        y, x = (stride * (torch.arange(side, device=maps.device) + 0.5) for side in maps.shape[2:])
        return torch.stack([likely.sum(dim=2) @ x, likely.sum(dim=3) @ y], dim=2)

    def training_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
        loss, _ = self._loss(self(batch[0]), batch)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def predict_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
        return self(batch[0])

    def evaluate(self, batch: Sequence[Any], stage: str) -> None:
        found = self(batch[0])
        self.evaluations[stage].update(*self._loss(found, batch), found, self._points(batch))  # type: ignore[operator]

    def _loss(self, found: Tensor, batch: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """The mean over the points that are labelled, and how many these are; 0 (and no gradient) if none is."""
        points = self._points(batch)
        is_known = points[..., 2] > 0
        distances = torch.linalg.vector_norm(found - points[..., :2], dim=2) / max(batch[0].shape[2:])
        count = is_known.sum()
        return torch.where(is_known, distances, 0.0).sum() / (count + (count == 0)), count

    def _points(self, batch: Sequence[Any]) -> Tensor:
        """float32 `(N, num_points, 3)`; raises `ConfigError` if the batch holds none."""
        padded = batch[1]
        shape = (len(batch[0]), self.num_points, 3)
        if not hasattr(padded, "lengths") or (len(padded.data), *padded.data.shape[2:]) != shape:
            raise ConfigError(
                f"the finder needs images and points (N, 1, {self.num_points}, 3) with lengths: store them as "
                f"KeypointsField, with num_points={self.num_points}, and set model.num_points to theirs"
            )
        if not padded.data.shape[1]:  # no image has an object
            return torch.zeros(shape, device=padded.data.device)
        return padded.data[:, 0].float()  # rows of length 0 are zeros, and so not labelled
