"""What a model raises at the first batch of a stage, in one line with what the data give."""

from typing import Any

import pytorch_lightning as pl
import torch

from ffcv_hydra.datamodule import FFCVDataModule
from ffcv_hydra.errors import ConfigError, FFCVHydraError, describe_error
from ffcv_hydra.lightning_internals import is_of_a_callback
from ffcv_hydra.trainer_facts import running_stage
from ffcv_hydra.training.outputs import describe

_STEPS = {"train": "training_step", "val": "validation_step", "test": "test_step", "predict": "predict_step"}


class FirstStep(pl.Callback):
    """Knows which batch the model is trying, as long as it is the first one of its stage.

    The sanity check is the first of `val`. What a later step or a callback raises is passed as it is.
    """

    def __init__(self) -> None:
        self._tried: set[str] = set()
        self._trying: tuple[str, str] | None = None
        self._failure: tuple[BaseException, str] | None = None

    def explain(self, error: BaseException) -> BaseException:
        """The one line, if the model has raised `error` at a first batch; else `error`."""
        return error if self._failure is None or self._failure[0] is not error else ConfigError(self._failure[1])

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self._trying is None or not isinstance(exception, Exception) or is_of_a_callback(exception):
            return
        stage, batch = self._trying
        if isinstance(exception, FFCVHydraError):
            line = f"{exception}; pipeline.{stage} gives {batch}"
        else:
            advice = f"change pipeline.{stage} or the model"
            if isinstance(exception, torch.OutOfMemoryError):
                advice = "a smaller loader.batch_size needs less memory"
            line = (
                f"{type(pl_module).__name__}.{_STEPS[stage]} fails at its first batch: {describe_error(exception)}; "
                f"pipeline.{stage} gives {batch}: {advice} (the traceback is in run.log)"
            )
        self._failure = exception, line

    def _begin(self, trainer: pl.Trainer, pl_module: Any, batch: Any, *args: Any, **kwargs: Any) -> None:
        stage = running_stage(trainer)
        if stage is not None and stage not in self._tried:
            data = trainer.datamodule  # type: ignore[attr-defined]
            names = data.output_names(stage) if isinstance(data, FFCVDataModule) else None
            self._trying = stage, describe(batch, names)

    def _end(self, *args: Any, **kwargs: Any) -> None:
        if self._trying is not None:
            self._tried.add(self._trying[0])
            self._trying = None

    on_train_batch_start = on_validation_batch_start = on_test_batch_start = on_predict_batch_start = _begin
    on_train_batch_end = on_validation_batch_end = on_test_batch_end = on_predict_batch_end = _end
