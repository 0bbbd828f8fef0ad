"""A search with Optuna: trials are jobs, kept in a storage that outlives the sweep."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from optuna import Trial
from optuna.study import StudyDirection
from optuna.trial import TrialState

from ffcv_hydra.errors import SweepError
from ffcv_hydra.run_folder import FINISHED, RESULT
from ffcv_hydra.sweeps.grid import raise_failures
from ffcv_hydra.sweeps.job import RECORD, optimized_name, optimized_value, read_json
from ffcv_hydra.sweeps.optuna_internals import is_stopped_by_sampler, mark, storage_id
from ffcv_hydra.sweeps.program import quoted
from ffcv_hydra.sweeps.search_space import split_overrides
from ffcv_hydra.sweeps.summary import summarized
from ffcv_hydra.sweeps.trial import TRIAL_VARIABLE, build, open_storage, write_trial


@dataclass(frozen=True)
class SearchOptions:
    """How to search; see `conf/hydra/sweeper/optuna.yaml`."""

    direction: str | None
    storage: str | None
    study_name: str | None
    n_trials: int
    n_jobs: int
    max_failure_rate: float
    sampler: Mapping[str, Any] | None
    custom_search_space: str | None
    pruner: Mapping[str, Any] | None


class Search:
    """Asks for parameters, launches trials batch by batch, and tells what came of them.

    Args:
        launcher: set up.
        config: the sweep's config.
        options: how to search.
        overrides: parsed; those that sweep span the space, the others are the same in all trials.

    Raises:
        SweepError: there is nothing to search over, `custom_search_space` is no function, or the direction is unknown.
    """

    def __init__(
        self, launcher: Launcher, config: DictConfig, options: SearchOptions, overrides: Sequence[Override]
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.launcher = launcher
        self.options = options
        self.sweep_dir = Path(str(config.hydra.sweep.dir)).absolute()
        self.config = config
        self.suggest = None if options.custom_search_space is None else _function(options.custom_search_space)
        self.space, self.fixed = split_overrides(overrides, needs_space=self.suggest is None)
        self.sweep_dir.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(config, self.sweep_dir / "multirun.yaml")
        self.storage = _absolute(options.storage or str(self.sweep_dir / "optuna.journal"))
        self.study = optuna.create_study(
            study_name=options.study_name or "search",
            storage=open_storage(self.storage),
            direction=_direction(options.direction, OmegaConf.select(config, "optimized_mode")),
            load_if_exists=True,
        )
        if options.sampler is not None:
            self.study.sampler = build(_reseeded(options.sampler, len(self.study.get_trials(deepcopy=False))))
        self._exhausted = False

    def run(self, validate: Callable[[Sequence[Sequence[str]]], None]) -> None:
        """Run the trials that are left of `n_trials`, and print the results.

        Args:
            validate: raises if jobs with such overrides cannot be composed; called with the first batch.

        Raises:
            SweepError: trials failed; at once when their share exceeds `max_failure_rate`.
        """
        self._take_up_unfinished()
        done = sum(trial.state.is_finished() and not trial.user_attrs.get("retried") for trial in self.study.trials)
        left = max(0, self.options.n_trials - done)
        found: list[JobReturn] = []
        with summarized(self.sweep_dir):
            while left > len(found) and not self._exhausted:
                trials = [self._ask() for _ in range(min(self.options.n_jobs, left - len(found)))]
                batch = [self._overrides(trial) for trial in trials]
                if not found:
                    validate(batch)
                jobs = list(self.launcher.launch(batch, initial_job_idx=trials[0].number))
                for trial, job in zip(trials, jobs, strict=True):
                    self._tell(trial, job)
                self._save_best()
                found += jobs
                failed = sum(job.status == JobStatus.FAILED for job in found)
                if failed > self.options.max_failure_rate * len(found):
                    break
            raise_failures(found, left)

    def _take_up_unfinished(self) -> None:
        """Trials that a stopped sweep has left are begun again with their parameters, before new ones."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            mark(self.study, trial, "retried", True)
            self.study.tell(trial.number, state=TrialState.FAIL)
            self.study.enqueue_trial(trial.params)

    def _ask(self) -> Trial:
        trial = self.study.ask(self.space)
        if self.suggest is not None:
            self.suggest(self.config, trial)
        return trial

    def _overrides(self, trial: Trial) -> list[str]:
        description = self.sweep_dir / ".trials" / f"{trial.number}.json"
        write_trial(description, self.storage, self.study.study_name, storage_id(trial), self.options.pruner)
        chosen = [f"{key}={value}" for key, value in trial.params.items()]
        return [*self.fixed, *chosen, f"+hydra.job.env_set.{TRIAL_VARIABLE}={quoted(str(description))}"]

    def _tell(self, trial: Trial, job: JobReturn) -> None:
        state, value = self._outcome(trial.number)
        if state == "pruned":
            told = TrialState.PRUNED
        elif state in FINISHED and value is not None:
            told = TrialState.COMPLETE
        else:
            told = TrialState.FAIL
            if job.status != JobStatus.FAILED:
                reason = "it has no value of optimized_metric; does the model log it, and is it finite?"
                job.status, job.return_value = JobStatus.FAILED, SweepError(f"job {trial.number}: {reason}")
        try:
            self.study.tell(trial, value if told == TrialState.COMPLETE else None, told)
        except RuntimeError as error:
            if not is_stopped_by_sampler(error):
                raise
            self._exhausted = True  # the trial is stored

    def _outcome(self, number: int) -> tuple[str | None, float | None]:
        """State and value of a job, from its folder: launchers return neither that a trial was pruned nor why."""
        for path in self.sweep_dir.rglob(RECORD):
            record = read_json(path)
            if record.get("job") == number:
                value = optimized_value(optimized_name(record.get("config")), read_json(path.with_name(RESULT)))
                return record.get("state"), value
        return None, None

    def _save_best(self) -> None:
        if any(trial.state == TrialState.COMPLETE for trial in self.study.get_trials(deepcopy=False)):
            best = {"name": "optuna", "best_params": self.study.best_params, "best_value": self.study.best_value}
            OmegaConf.save(OmegaConf.create(best), self.sweep_dir / "optimization_results.yaml")


def _function(name: str) -> Callable[[DictConfig, Trial], None]:
    try:
        return get_method(name)
    except Exception as error:
        reason = str(error).replace("\n", " ")
        raise SweepError(f"hydra.sweeper.custom_search_space={name}: {reason}") from error


def _reseeded(sampler: Mapping[str, Any], num_trials: int) -> dict[str, Any]:
    """A search that is gone on with would else begin with the parameters that it began with before."""
    seed = sampler.get("seed")
    return {**sampler, "seed": seed + num_trials} if isinstance(seed, int) else dict(sampler)


def _absolute(storage: str) -> str:
    """A journal's path or a URL that means the same in every folder."""
    if "://" not in storage:
        return os.path.abspath(os.path.expanduser(storage))
    scheme, slashes, path = storage.partition(":///")
    is_file = scheme.startswith("sqlite") and slashes and not path.startswith((":", "file:"))
    return f"{scheme}{slashes}{os.path.abspath(path)}" if is_file and path else storage


def _direction(direction: str | None, mode: str | None) -> StudyDirection:
    low, high = StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE
    found = {"min": low, "minimize": low, "max": high, "maximize": high}.get(direction or mode or "min")
    if found is None:
        raise SweepError(f"hydra.sweeper.direction={direction}: choose minimize or maximize")
    return found
