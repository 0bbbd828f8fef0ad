"""What is taken from inside Optuna; a test of each says when a release changes it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial


def storage_id(trial: "Trial | FrozenTrial") -> int:
    """The storage's own number of a trial."""
    return trial._trial_id


def mark(study: "Study", trial: "FrozenTrial", name: str, value: Any) -> None:
    """Set a user attribute of a trial that another process has begun."""
    study._storage.set_trial_user_attr(trial._trial_id, name, value)


def is_stopped_by_sampler(error: RuntimeError) -> bool:
    """Whether a sampler that has tried everything stops the study, which Optuna allows only where it runs the loop."""
    return "Study.stop" in str(error)
