"""`metrics_by_step.csv`: all that a run logs, at the steps at which it does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from ffcv_hydra.run_folder import METRICS_BY_STEP
from ffcv_hydra.training.rows_file import RowsFile


class StepLogger(Logger):
    """Rank 0 writes one row per step at which anything is logged; what is of an epoch is in the row of its last step.

    Columns are `step`, as TensorBoard has it, `epoch`, from 1 on, and one per metric. Evaluations outside of a training
    are of no epoch.

    Args:
        save_dir: the folder of the file.

    Attributes:
        is_training: whether a training is at work.
    """

    def __init__(self, save_dir: str | Path) -> None:
        super().__init__()
        self._save_dir = str(save_dir)
        self.rows = RowsFile(Path(save_dir, METRICS_BY_STEP), "step")
        self.is_training = False

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return self._save_dir

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write the metrics into the row of the step."""
        found = {name: float(value) for name, value in metrics.items()}
        epoch = found.pop("epoch", None)
        if epoch is not None and self.is_training:
            found["epoch"] = epoch + 1
        self.rows.add({**found, "step": step or 0})

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Leave them out: `config.yaml` has all."""
