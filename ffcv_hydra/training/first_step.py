"""What a model raises at the first batch of a stage, in one line with what the data give."""

from typing import Any

import pytorch_lightning as pl
import torch

from ffcv_hydra.datamodule import FFCVDataModule
from ffcv_hydra.errors import ConfigError, FFCVHydraError, describe_error
from ffcv_hydra.lightning_internals import is_of_a_callback
from ffcv_hydra.training.outputs import describe


class FirstStep(pl.Callback):
    """Knows which batch the model is trying, as long as it is the first one of its stage.

    The sanity check is the first of `val`. What a later step or a callback raises is passed as it is.
    """

    def __init__(self) -> None:
        self._tried: set[str] = set()
        self._trying: tuple[str, str, str] | None = None
        self._failure: tuple[BaseException, str] | None = None

    def explain(self, error: BaseException) -> BaseException:
        """The one line, if the model has raised `error` at a first batch; else `error`."""
        return error if self._failure is None or self._failure[0] is not error else ConfigError(self._failure[1])

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self._trying is None or not isinstance(exception, Exception) or is_of_a_callback(exception):
            return
        stage, step, batch = self._trying
        if isinstance(exception, FFCVHydraError):
            line = f"{exception}; pipeline.{stage} gives {batch}"
        else:
            advice = f"change pipeline.{stage} or the model"
            if isinstance(exception, torch.OutOfMemoryError):
                advice = "a smaller loader.batch_size needs less memory"
            line = (
                f"{type(pl_module).__name__}.{step} fails at its first batch: {describe_error(exception)}; "
                f"pipeline.{stage} gives {batch}: {advice} (the traceback is in run.log)"
            )
        self._failure = exception, line

    def _begin(self, trainer: pl.Trainer, stage: str, step: str, batch: Any) -> None:
        if stage not in self._tried:
            data = trainer.datamodule  # type: ignore[attr-defined]
            names = data.output_names(stage) if isinstance(data, FFCVDataModule) else None
            self._trying = stage, step, describe(batch, names)

    def _end(self, stage: str) -> None:
        self._trying = None
        self._tried.add(stage)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, *args: Any) -> None:
        self._begin(trainer, "train", "training_step", batch)

    def on_train_batch_end(self, *args: Any) -> None:
        self._end("train")

    def on_validation_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, *args: Any) -> None:
        self._begin(trainer, "val", "validation_step", batch)

    def on_validation_batch_end(self, *args: Any) -> None:
        self._end("val")

    def on_test_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, *args: Any) -> None:
        self._begin(trainer, "test", "test_step", batch)

    def on_test_batch_end(self, *args: Any) -> None:
        self._end("test")

    def on_predict_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, *args: Any) -> None:
        self._begin(trainer, "predict", "predict_step", batch)

    def on_predict_batch_end(self, *args: Any) -> None:
        self._end("predict")
