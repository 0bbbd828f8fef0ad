"""One trial of an Optuna study, as a job sees it: it reports values and asks whether to go on."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffcv_hydra.atomic_file import write_whole
from ffcv_hydra.errors import SweepError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

TRIAL_VARIABLE = "FFCV_HYDRA_TRIAL"
"""Names the file that describes the trial which a job is."""


def write_trial(path: Path, storage: str, study_name: str, trial_id: int, pruner: Mapping[str, Any] | None) -> None:
    """Write what `ReportedTrial` reads.

    Args:
        path: of the file.
        storage: as `open_storage` takes it.
        study_name: in that storage.
        trial_id: the storage's own number of the trial.
        pruner: a `_target_` node; None never prunes.
    """
    contents = {"storage": storage, "study_name": study_name, "trial_id": trial_id, "pruner": pruner}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(contents, indent=2) + "\n")


class ReportedTrial:
    """The trial that a file describes; opens the study's storage.

    Args:
        path: of a file by `write_trial`.

    Raises:
        SweepError: optuna is not installed.
    """

    def __init__(self, path: Path) -> None:
        described = json.loads(path.read_text())
        optuna = import_optuna()
        self._storage = open_storage(described["storage"])
        pruner = described["pruner"]
        self._pruner = None if pruner is None else build(pruner)
        self._study = optuna.load_study(study_name=described["study_name"], storage=self._storage, pruner=self._pruner)
        self._trial_id: int = described["trial_id"]

    def report(self, step: int, value: float) -> bool:
        """Store the metric's value after epoch `step` (from 0 on) and return whether the trial should be pruned."""
        self._storage.set_trial_intermediate_value(self._trial_id, step, value)
        return self._pruner is not None and self._pruner.prune(self._study, self._storage.get_trial(self._trial_id))


def import_optuna() -> Any:
    """Return the module optuna; raises `SweepError` where it is not installed."""
    try:
        return importlib.import_module("optuna")
    except ImportError as error:
        raise SweepError(f"the search needs optuna ({error}): pip install 'ffcv_hydra[sweeps]'") from error


def open_storage(storage: str) -> "BaseStorage":
    """Open a study's storage: a database URL, or the path of a journal file that works on shared file systems."""
    optuna = import_optuna()
    if "://" in storage:
        return optuna.storages.get_storage(storage)
    journal = optuna.storages.journal
    return journal.JournalStorage(journal.JournalFileBackend(storage))


def build(node: Mapping[str, Any]) -> Any:
    """Instantiate a sampler's or a pruner's `_target_` node."""
    from hydra.utils import instantiate

    return instantiate(dict(node), _convert_="all")
