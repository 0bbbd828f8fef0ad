"""Lightning's early stopping, for runs that end before their first evaluation."""

import pytorch_lightning as pl

from ffcv_hydra.lightning_internals import EarlyStoppingByLogged


class EarlyStopping(EarlyStoppingByLogged):
    """Lightning's, with the same arguments; it does not ask for the metric after an epoch that was cut off.

    A run that `max_steps` ends within an epoch has not evaluated it: Lightning raises then, when all is done.
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_last_batch:
            super().on_train_epoch_end(trainer, pl_module)
