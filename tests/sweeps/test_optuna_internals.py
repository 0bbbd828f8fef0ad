"""What is taken from inside Optuna is still there, and does what is expected of it."""

import pytest

from ffcv_hydra.sweeps import optuna_internals

optuna = pytest.importorskip("optuna")


def test_a_trial_has_a_number_in_its_storage_and_can_be_marked():
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
    trial = study.ask()
    assert study._storage.get_trial(optuna_internals.storage_id(trial)).number == trial.number
    optuna_internals.mark(study, study.get_trials()[0], "retried", True)
    assert study.get_trials()[0].user_attrs == {"retried": True}


def test_a_sampler_that_is_through_is_told_from_other_errors():
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"x": [1]}))
    trial = study.ask()
    trial.suggest_int("x", 0, 2)
    with pytest.raises(RuntimeError) as raised:
        study.tell(trial, 1.0)
    assert optuna_internals.is_stopped_by_sampler(raised.value)
    assert not optuna_internals.is_stopped_by_sampler(RuntimeError("a"))
