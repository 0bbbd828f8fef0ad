"""Lightning's checkpoints, with a `last.ckpt` that is the last."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint as LightningModelCheckpoint

from ffcv_hydra.errors import ConfigError


class ModelCheckpoint(LightningModelCheckpoint):
    """Lightning's, with the same arguments; `save_last` saves after each evaluation and at the end of the training.

    Lightning saves `last.ckpt` only together with one of the best: when the last epochs of a run were no better, what
    was learnt in them is in no file.
    """

    def _save_topk_checkpoint(self, trainer: pl.Trainer, monitor_candidates: dict[str, Any]) -> None:
        is_evaluated = trainer.fit_loop.epoch_loop.val_loop._has_run
        if is_evaluated and self.save_top_k and self.monitor not in (None, *monitor_candidates):
            logged = ", ".join(sorted(set(monitor_candidates) - {"epoch", "step"})) or "nothing"
            raise ConfigError(
                f"monitor={self.monitor} of a ModelCheckpoint (optimized_metric, if callbacks.checkpoint.monitor is as "
                f"shipped) was not logged; the run logged {logged}"
            )
        super()._save_topk_checkpoint(trainer, monitor_candidates)
        self._last_global_step_saved = trainer.global_step  # what Lightning then looks at

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
