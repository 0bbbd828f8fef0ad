"""Stop a run between two batches, on all ranks at the same one, with a checkpoint that resumes exactly there."""

from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, distributed

from ffcv_hydra.callbacks.stop_signals import RunInterrupted, StopSignals
from ffcv_hydra.errors import WriteError
from ffcv_hydra.lightning_internals import Callback, dismiss_observer, is_resumable, validate_anew


class GracefulStop(Callback):
    """Raises `RunInterrupted` on every rank at the same batch boundary once any rank has received a stop signal.

    While fitting, a checkpoint is saved first. Lightning's own way (`trainer.should_stop`) would validate and end the
    epoch, which makes it impossible to resume in the middle of it.

    Args:
        signals: entered by the caller; from the first batch to the last one its signals are deferred to this callback.
        checkpoint_path: where the checkpoint is saved.
    """

    def __init__(self, signals: StopSignals, checkpoint_path: Path) -> None:
        self.signals = signals
        self.checkpoint_path = checkpoint_path
        self._agreement: _Agreement
        self._validating = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._agreement = _Agreement()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        signum = self._agreement.settle(self.signals.signum)
        self._agreement.close()
        self.signals.deferred = False
        # A signal that arrived just now, after the ranks have settled, is no longer deferred: it ends this rank.
        if signum := signum or self.signals.signum:
            dismiss_observer(trainer)
            raise RunInterrupted(signum)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.signals.deferred = False

    def _defer(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.signals.deferred = True
        self.signals.install()

    # The first hooks after Lightning has registered its own handler for SIGTERM, one that runs a collective.
    on_sanity_check_start = on_train_start = on_validation_start = on_test_start = on_predict_start = _defer

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Where it is not, the stop waits for the next boundary.
        if (signum := self._agreement.poll(self.signals.signum)) and is_resumable(trainer, batch_idx):
            self._stop(trainer, signum)

    def _poll(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        if signum := self._agreement.poll(self.signals.signum):
            self._stop(trainer, signum)

    on_validation_batch_end = on_test_batch_end = on_predict_batch_end = _poll

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if signum := self._agreement.settle(self.signals.signum):
            self._stop(trainer, signum)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._validating:
            validate_anew(checkpoint)

    def _stop(self, trainer: pl.Trainer, signum: int) -> None:
        dismiss_observer(trainer)  # the child ranks are still here: they cannot leave before the checkpoint is saved
        interruption = RunInterrupted(signum)
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._validating = trainer.validating
            try:
                trainer.save_checkpoint(self.checkpoint_path, weights_only=False)
            except WriteError as error:
                interruption.args = (f"{interruption}; {error}",)
                trainer.strategy.barrier("Trainer.save_checkpoint")  # where the other ranks are
        raise interruption


class _Agreement:
    """The largest signal number that any rank has, without waiting for it.

    Each poll starts an `all_reduce` of 4 bytes on a gloo group (so it never touches the GPU) and returns the result of
    the one that the poll before had started. All ranks poll at the same boundaries, so all learn of it at the same one.
    """

    def __init__(self) -> None:
        is_distributed = distributed.is_available() and distributed.is_initialized()
        group = distributed.new_group(backend="gloo") if is_distributed else None
        self._group = cast("distributed.ProcessGroup | None", group)
        self._pending: tuple[distributed.Work, Tensor] | None = None
        self._agreed = 0

    def poll(self, signum: int) -> int:
        if self._group is None:
            return signum
        self._collect()
        if not self._agreed:
            flag = torch.tensor([signum], dtype=torch.int32)
            work = distributed.all_reduce(flag, distributed.ReduceOp.MAX, self._group, async_op=True)
            assert work is not None  # it is None on ranks outside the group; there are none
            self._pending = (work, flag)
        return self._agreed

    def settle(self, signum: int) -> int:
        """Exchange and wait: what the ranks agree on now."""
        return self.poll(signum) or self.poll(signum)

    def close(self) -> None:
        self._collect()
        if self._group is not None:
            distributed.destroy_process_group(self._group)
            self._group = None

    def _collect(self) -> None:
        if self._pending is not None:
            work, flag = self._pending
            self._pending = None
            work.wait()
            self._agreed = max(self._agreed, int(flag))
