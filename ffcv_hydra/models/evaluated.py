"""What evaluations of a model measure: the mean loss and any metrics, exact over all samples of all ranks."""

import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import Metric

from ffcv_hydra.errors import ConfigError, describe_error
from ffcv_hydra.models.mean_loss import mean_loss
from ffcv_hydra.models.optimization import configure_optimizers
from ffcv_hydra.printable import printable

STAGES = ("val", "test")


class Evaluation(nn.Module):
    """The loss and the metrics of one stage.

    They are not a `MetricCollection`: that lets metrics whose states agree after the first batch share one from then
    on, so that a top-5 accuracy is taken for the top-1 accuracy if the first batch is all right.

    Args:
        metrics: by name; one that gives several values in a dictionary has their names instead.

    Attributes:
        values: of the last evaluation, by name, on the CPU; empty before it.
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        super().__init__()
        self.loss = mean_loss()
        self.names = list(metrics)
        self.metrics = nn.ModuleList(metric.clone() for metric in metrics.values())
        self.values: dict[str, Tensor] = {}

    def update(self, loss: Tensor, weight: Tensor | int, predictions: Any, targets: Any) -> None:
        """Add a batch: its mean loss and what that is a mean over, and what the metrics compare."""
        self.loss.update(loss, weight)
        for metric in self.metrics:
            metric.update(predictions, targets)  # type: ignore[operator]

    def end(self) -> dict[str, Tensor]:
        """The values over all batches of all ranks, which each rank has to ask for; the next evaluation begins anew."""
        found: list[Metric] = [self.loss, *self.metrics]
        if self.loss.update_called:
            values: dict[str, Tensor] = {}
            for name, metric in zip(["loss", *self.names], found, strict=True):
                value = metric.compute()
                values |= value if isinstance(value, Mapping) else {name: value}
            self.values = {name: value.detach().cpu() for name, value in values.items()}
        for metric in found:
            metric.reset()
        return self.values

    def check(self, predictions: Tensor, targets: Tensor) -> None:
        """Try the metrics on a batch; raises `ConfigError` for one that does not take it, or gives no tensor."""
        for name, metric in zip(self.names, self.metrics, strict=True):
            one: Metric = metric.clone()  # type: ignore[operator]
            one.sync_on_compute = False
            try:
                with warnings.catch_warnings(action="ignore"):  # of what one batch lacks
                    one.update(predictions, targets)
                    value = one.compute()
            except Exception as error:
                raise ConfigError(
                    f"model.metrics.{name}: {type(one).__name__} does not take predictions {shown(predictions)} with"
                    f" targets {shown(targets)}: {describe_error(error)}"
                ) from error
            if not isinstance(value, Tensor):
                kind = type(value).__name__
                raise ConfigError(f"model.metrics.{name}: {type(one).__name__} gives a {kind}; a tensor is needed")


class EvaluatedModule(pl.LightningModule):
    """A model whose evaluations log the loss and metrics.

    A metric that gives one number is logged as `val_NAME` and `test_NAME`, one that gives a number per class as
    `val_NAME/CLASS`, by the classes' names where the data have them. All values, matrices too, are in
    `evaluation_metrics`.

    Attributes:
        num_classes: how many there are.
        optimizer, scheduler: configs, as `configure_optimizers` takes them.
        class_names: by number; None before the model meets data that name as many.
    """

    num_classes: int
    optimizer: Mapping[str, Any]
    scheduler: Mapping[str, Any] | None
    class_names: tuple[str, ...] | None = None
    evaluations: nn.ModuleDict

    def measure(self, metrics: Mapping[str, Metric]) -> None:
        """Have `metrics` in each evaluation; once, when the model is made."""
        self.evaluations = nn.ModuleDict({stage: Evaluation(metrics) for stage in STAGES})

    def check_batch(self, batch: Sequence[Any]) -> None:
        """Refuse a batch, on the CPU, that the model does not take, by a `ConfigError`; without targets, nothing."""

    @abstractmethod
    def evaluate(self, batch: Sequence[Any], stage: str) -> Any:
        """Update `evaluations` of `val` or `test` by a batch; what it returns, the step does."""

    def validation_step(self, batch: Sequence[Any], batch_idx: int) -> Any:
        return self.evaluate(batch, "val")

    def test_step(self, batch: Sequence[Any], batch_idx: int) -> Any:
        return self.evaluate(batch, "test")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return configure_optimizers(self, self.optimizer, self.scheduler)

    def setup(self, stage: str) -> None:
        names: Sequence[str] | None = getattr(getattr(self.trainer, "datamodule", None), "class_names", None)
        if names is not None and len(set(names)) == len(names) == self.num_classes:
            self.class_names = tuple(names)

    def on_validation_epoch_end(self) -> None:
        self._end("val")

    def on_test_epoch_end(self) -> None:
        self._end("test")

    def evaluation_metrics(self, stage: str) -> dict[str, Tensor]:
        """What the last evaluation of `val` or `test` gave, by name, on the CPU; empty before there was one."""
        return dict(self.evaluations[stage].values)  # type: ignore[arg-type]

    def _end(self, stage: str) -> None:
        with warnings.catch_warnings():
            if self.trainer.sanity_checking:  # of what a few batches lack
                warnings.simplefilter("ignore")
            values = self.evaluations[stage].end()  # type: ignore[operator]
        for name, value in values.items():
            if value.numel() == 1:
                self._log(f"{stage}_{name}", value.reshape(()), prog_bar=True)
            elif value.shape == (self.num_classes,):
                for number, one in enumerate(value):
                    of_class = printable(self.class_names[number]) if self.class_names else number
                    self._log(f"{stage}_{name}/{of_class}", one)

    def _log(self, name: str, value: Tensor, prog_bar: bool = False) -> None:
        # the same on all ranks: the largest of them is not rounded, as their mean would be
        self.log(name, value.to(self.device, torch.float32), prog_bar=prog_bar, sync_dist=True, reduce_fx="max")


def check_loss(loss: nn.Module | None, outputs: Tensor, targets: Tensor) -> None:
    """Try a loss that a config names on a batch; raises `ConfigError` if it does not take it, or gives no scalar."""
    if loss is None:
        return
    try:
        value = loss(outputs, targets)
    except Exception as error:
        raise ConfigError(
            f"model.loss: {type(loss).__name__} does not take outputs {shown(outputs)} with targets {shown(targets)}:"
            f" {describe_error(error)}"
        ) from error
    if not isinstance(value, Tensor) or value.ndim:
        given = shown(value) if isinstance(value, Tensor) else type(value).__name__
        raise ConfigError(f"model.loss: {type(loss).__name__} gives {given}, not one number; let it give a mean")


def shown(tensor: Tensor) -> str:
    """A tensor's type and shape, for errors."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
