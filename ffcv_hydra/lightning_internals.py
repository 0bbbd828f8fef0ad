"""What is taken from inside Lightning; a test of each says when a release changes it."""

import logging
import subprocess
import warnings
from collections.abc import Mapping
from traceback import walk_tb
from typing import Any, TypeGuard

import pytorch_lightning as pl
import torch
from pytorch_lightning import callbacks
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.lightning_copies_internals import OfEveryLightning, in_every

CHATTER = (
    "\N{ELECTRIC LIGHT BULB} Tip:",
    "Seed set to",
    "Trainer already configured with model summary",
    "TPU available",
    "Loading `train_dataloader` to estimate",
    "`Trainer.fit` stopped: `max_epochs",
)
"""What log lines begin with that say nothing about a run."""

_WARNINGS = (
    r".*isinstance\(treespec, LeafSpec\).*",  # a deprecation in Lightning's own code
    # the models look at labels before these are on the device, and data modules of ours have no such hook
    r"You have overridden `on_before_batch_transfer` in `LightningModule` .*",
    r"The dirpath has changed from .*",  # a run that goes on from another one's checkpoint has a folder of its own
    # metrics.csv has a row for each epoch, of however few batches
    r"The number of training batches \(\d+\) is smaller than the logging interval .*",
)
_WARNINGS_OF_EVALUATIONS = (
    # callbacks of the training, of which an evaluation needs none: an average of the weights is what it loads
    r"Be aware that when using `ckpt_path`, callbacks used to create the checkpoint .*",
)


def hide_chatter(fits: bool = True) -> None:
    """Drop Lightning's tips for other products, and what it says of a run (a fit or an evaluation) that is right."""
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.seed"):
        logging.getLogger(name).addFilter(_is_no_chatter)
    for message in _WARNINGS if fits else _WARNINGS + _WARNINGS_OF_EVALUATIONS:
        warnings.filterwarnings("ignore", message=message)


def _is_no_chatter(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(CHATTER)


def is_of_a_callback(error: BaseException) -> bool:
    """Whether a callback's hook has raised an error that the trainer passes on."""
    return any(frame.f_code.co_name == "_call_callback_hooks" for frame, _ in walk_tb(error.__traceback__))


def go_on_where_it_ended(trainer: pl.Trainer) -> None:
    """While a checkpoint is restored: have the fit go on at the next batch, wherever the run of the checkpoint ended.

    A run that `max_steps`, `max_time` or `should_stop` ends within an epoch counts that epoch as done, and a resumed
    one begins with the next: here it is counted as begun. After a run that ended with an epoch, one with `max_steps`
    counts the next epoch as read without reading it: here its batches are to come.
    """
    fit_loop = trainer._checkpoint_connector._loaded_checkpoint.get("loops", {}).get("fit_loop")
    if fit_loop is None:
        return
    epochs, batches = fit_loop["epoch_progress"], fit_loop["epoch_loop.batch_progress"]
    if epochs["current"]["processed"] < epochs["current"]["started"]:  # saved within an epoch
        return
    epoch_is_over = batches["is_last_batch"]
    for counts in epochs.values():
        counts["processed"] = counts["completed"] = counts["started"] - (not epoch_is_over)
    if epoch_is_over:
        batches["current"] = dict.fromkeys(batches["current"], 0)
        batches["is_last_batch"] = False


def validate_anew(checkpoint: dict[str, Any]) -> None:
    """Have a run that goes on from a checkpoint, made in the middle of a validation, do the whole validation again.

    It would else go on in the middle of it: with the batches that are left counted, but from the first one.
    """
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
    for counts in (progress["total"], progress["current"]):
        counts.update(ready=1, started=1, processed=0, completed=0)
    progress["is_last_batch"] = False


def is_resumable(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether a checkpoint saved at the end of this training batch loses nothing.

    Gradients that are still being accumulated are not in a checkpoint; the validation and the end of the epoch that
    follow this batch would be skipped by a resumed run.
    """
    fetcher = trainer.fit_loop._data_fetcher
    assert fetcher is not None
    accumulated = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
    validates = trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)
    return accumulated and not trainer.is_last_batch and not validates


def begun_batches(trainer: pl.Trainer, stage: str) -> int:
    """How many batches of its pass a stage (train, val, test or predict) has begun, the present one included."""
    fits = trainer.state.fn == TrainerFn.FITTING
    loop: Any = {
        "train": trainer.fit_loop.epoch_loop,
        "val": trainer.fit_loop.epoch_loop.val_loop if fits else trainer.validate_loop,
        "test": trainer.test_loop,
        "predict": trainer.predict_loop,
    }[stage]
    return loop.batch_progress.current.ready


def take_learning_rates(trainer: pl.Trainer) -> None:
    """Have the trainer's metrics hold the rates of now, not those of the last step that was logged; on all ranks."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, callbacks.LearningRateMonitor):
            callback._extract_stats(trainer, "any")


def child_ranks(trainer: pl.Trainer | None) -> list[subprocess.Popen[bytes]]:
    """The processes of the ranks that this one has started."""
    launcher = None if trainer is None else trainer.strategy.launcher
    return list(launcher.procs) if _starts_scripts(launcher) else []


def _starts_scripts(launcher: Any) -> TypeGuard[_SubprocessScriptLauncher]:
    return isinstance(launcher, in_every(_SubprocessScriptLauncher))


def dismiss_observer(trainer: pl.Trainer) -> None:
    """Keep the observer of child ranks from killing rank 0 because a child has left with a status of its own.

    The observer looks at the very list that the launcher keeps, so the launcher gets a copy and the list is emptied.
    """
    launcher = trainer.strategy.launcher
    if _starts_scripts(launcher):
        observed = launcher.procs
        launcher.procs = list(observed)
        observed.clear()


def cluster_environment(trainer: pl.Trainer) -> Any:
    """What Lightning knows of the cluster it runs on; None if there is none."""
    return getattr(trainer.strategy, "cluster_environment", None) or trainer._accelerator_connector.cluster_environment


def move_average(averaging: callbacks.WeightAveraging, device: torch.device) -> None:
    """Have the averaged weights on a device: Lightning copies the model when it still is on the CPU, and leaves it."""
    if averaging._average_model is not None:
        averaging._average_model.to(device)


class ModelCheckpoint(callbacks.ModelCheckpoint, OfEveryLightning):
    """Lightning's, with the same arguments; `save_last` saves after each evaluation and at the end of the training.

    Lightning saves `last.ckpt` only together with one of the best: when the last epochs of a run were no better, what
    was learnt in them is in no file. A `monitor` that was not logged is a `ConfigError`.
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


class EarlyStopping(callbacks.EarlyStopping, OfEveryLightning):
    """Lightning's, with the same arguments; it does not ask for the metric after an epoch that was cut off.

    A run that `max_steps` ends within an epoch has not evaluated it: Lightning raises then, when all is done. A metric
    that was not logged is an error that is known for one of the configuration.
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_last_batch:
            super().on_train_epoch_end(trainer, pl_module)

    def _validate_condition_metric(self, logs: Mapping[str, Any]) -> bool:
        try:
            return super()._validate_condition_metric(dict(logs))
        except RuntimeError as error:
            raise MisconfigurationException(str(error)) from error


class Callback(pl.Callback, OfEveryLightning):
    """Lightning's, whichever of its packages the trainer is of."""


class ProgressBarFromOne(callbacks.RichProgressBar, OfEveryLightning):
    """Lightning's Rich bar with `Epoch 1/10` for the first one: it counts from 0, other lines of a run from 1."""

    def _get_train_description(self, current_epoch: int) -> str:
        epochs = f"/{self.trainer.max_epochs}" if self.trainer.max_epochs and self.trainer.max_epochs > 0 else ""
        return f"Epoch {current_epoch + 1}{epochs}".ljust(len(self.validation_description))
