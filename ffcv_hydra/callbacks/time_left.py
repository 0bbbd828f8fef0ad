"""How long a training will still take."""

import time

import pytorch_lightning as pl

from ffcv_hydra.lightning_internals import begun_batches


class TimeLeft:
    """Estimates the rest of a whole training, its validations included, from what it has done since it was started."""

    def __init__(self) -> None:
        self._started_at: float | None = None
        self._first = 0.0

    def begin_batch(self, trainer: pl.Trainer) -> None:
        """Count from the first batch on; a training that was resumed has come some way before."""
        if self._started_at is None:
            self._started_at, self._first = time.monotonic(), _share_done(trainer) or 0.0

    def seconds(self, trainer: pl.Trainer) -> float | None:
        """The estimate; None before anything was done, or where nothing says how long the training will be."""
        done = _share_done(trainer)
        if self._started_at is None or done is None or done <= self._first:
            return None
        return (time.monotonic() - self._started_at) * max(0.0, 1 - done) / (done - self._first)


def _share_done(trainer: pl.Trainer) -> float | None:
    """How much of the training is done, from 0 to 1, by epochs or by steps, whichever ends it first."""
    shares = []
    if trainer.max_epochs and trainer.max_epochs > 0 and 0 < trainer.num_training_batches < float("inf"):
        shares.append((trainer.current_epoch + _share_of_epoch(trainer)) / trainer.max_epochs)
    if trainer.max_steps > 0:
        shares.append(trainer.global_step / trainer.max_steps)
    return max(shares, default=None)


def _share_of_epoch(trainer: pl.Trainer) -> float:
    return min(1.0, begun_batches(trainer, "train") / trainer.num_training_batches)
