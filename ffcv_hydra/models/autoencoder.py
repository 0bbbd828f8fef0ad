"""A small fully connected autoencoder."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.models.images import unit_images
from ffcv_hydra.models.mean_loss import mean_loss
from ffcv_hydra.models.optimization import configure_optimizers


class AutoEncoder(pl.LightningModule):
    """Compress flattened images to a few numbers and reconstruct them, with a mean squared error.

    A batch is a tuple whose first item are the images: `(N, *image_shape)` floats, or `uint8`, which are scaled to
    [0, 1]; the axes may come in another order as long as their product is the same. Further items are ignored. Logs
    `train_loss`, `val_loss` and `test_loss`; predicts the codes, `(N, code_size)`.

    Args:
        image_shape: shape of one image.
        hidden_size: width of the hidden layer on either side of the code.
        code_size: numbers per code.
        optimizer: plain dictionary with a `_target_`; Adam with a rate of 1e-3 when left out.
        scheduler: plain dictionary with a `_target_`, see `ffcv_hydra.models.optimization`; None for a constant rate.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (3, 32, 32),
        hidden_size: int = 64,
        code_size: int = 3,
        optimizer: Mapping[str, Any] | None = None,
        scheduler: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.image_shape = tuple(image_shape)
        size = math.prod(image_shape)
        self.encoder = nn.Sequential(nn.Linear(size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, code_size))
        self.decoder = nn.Sequential(nn.Linear(code_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, size))
        self.optimizer = optimizer or {"_target_": "torch.optim.Adam", "lr": 1e-3}
        self.scheduler = scheduler
        self.val_loss = mean_loss()
        self.test_loss = mean_loss()

    def forward(self, images: Tensor) -> Tensor:
        """Return the codes `(N, code_size)` of images `(N, ...)`."""
        return self.encoder(self._flat(images))

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        loss = self._loss(batch)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        self.val_loss.update(self._loss(batch), weight=len(batch[0]))
        self.log("val_loss", self.val_loss, prog_bar=True)

    def test_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        self.test_loss.update(self._loss(batch), weight=len(batch[0]))
        self.log("test_loss", self.test_loss)

    def predict_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        return self(batch[0])

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return configure_optimizers(self, self.optimizer, self.scheduler)

    def _loss(self, batch: Sequence[Tensor]) -> Tensor:
        flat = self._flat(batch[0])
        return functional.mse_loss(self.decoder(self.encoder(flat)), flat)

    def _flat(self, images: Tensor) -> Tensor:
        flat = unit_images(images, self.dtype).flatten(1)
        if flat.shape[1] != math.prod(self.image_shape):
            given = ",".join(map(str, images.shape[1:]))
            raise ConfigError(
                f"the autoencoder takes images of one shape, {list(self.image_shape)}; the data give [{given}]: set "
                f"model.image_shape=[{given}], or give all images that size in the pipeline (pipeline=randcrop)"
            )
        return flat
