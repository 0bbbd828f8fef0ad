"""Lightning's early stopping, for runs that end before their first evaluation."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping
from pytorch_lightning.utilities.exceptions import MisconfigurationException


class EarlyStopping(LightningEarlyStopping):
    """Lightning's, with the same arguments; it does not ask for the metric after an epoch that was cut off.

    A run that `max_steps` ends within an epoch has not evaluated it: Lightning raises then, when all is done.
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            super().on_train_epoch_end(trainer, pl_module)

    def _validate_condition_metric(self, logs: Mapping[str, Any]) -> bool:
        try:
            return super()._validate_condition_metric(dict(logs))
        except RuntimeError as error:
            raise MisconfigurationException(str(error)) from error
