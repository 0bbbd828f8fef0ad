"""What a run does beyond its config because it is a job of a sweep, as the sweep says in its environment."""

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.callbacks import Callback

from ffcv_hydra.callbacks.progress_file import ProgressFile
from ffcv_hydra.callbacks.pruning import Pruning
from ffcv_hydra.sweeps.job_process import PROGRESS_VARIABLE
from ffcv_hydra.sweeps.trial import TRIAL_VARIABLE


def sweep_callbacks(config: Mapping[str, Any], environment: Mapping[str, str]) -> list[Callback]:
    """Return the callbacks that report to the sweep; none outside a sweep.

    Args:
        config: the run's.
        environment: of the process.
    """
    callbacks: list[Callback] = []
    if path := environment.get(PROGRESS_VARIABLE):
        callbacks.append(ProgressFile(path))
    if (trial := environment.get(TRIAL_VARIABLE)) and config["mode"] == "fit" and config.get("optimized_metric"):
        callbacks.append(Pruning(trial, config["optimized_metric"]))
    return callbacks
