"""A search that was stopped, or whose trials fail, goes on from its storage."""

import json
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from ffcv_hydra.sweeps.trial import open_storage

ROOT = Path(__file__).parents[2]
States = optuna.trial.TrialState

pytestmark = pytest.mark.timeout(200)


def search(folder, *overrides):
    return subprocess.run(
        [sys.executable, str(ROOT / "tests/sweeps/light_run.py"), "-m", "hydra.sweep.dir=sweep", *overrides]
        + ["hparams_search=optuna"],
        cwd=folder, capture_output=True, text=True, timeout=150,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip


BATCH_SIZE = "loader.batch_size=int(interval(1,1000))"


def study(folder):
    return optuna.load_study(study_name="search", storage=open_storage(str(folder / "sweep/optuna.journal")))


def test_a_trial_that_was_cut_off_is_begun_again_with_its_parameters(tmp_path):
    done = search(tmp_path, BATCH_SIZE, "hydra.sweeper.n_trials=2")
    assert done.returncode == 0, done.stderr
    cut_off = study(tmp_path).ask({"loader.batch_size": optuna.distributions.IntDistribution(1, 1000)})

    done = search(tmp_path, BATCH_SIZE, "hydra.sweeper.n_trials=4", "hydra.launcher.jobs=1", "hydra.sweeper.n_jobs=2")
    assert done.returncode == 0, done.stderr
    trials = study(tmp_path).trials
    assert [trial.state for trial in trials] == [States.COMPLETE] * 2 + [States.FAIL] + [States.COMPLETE] * 2
    assert trials[3].params == cut_off.params
    jobs = json.loads((tmp_path / "sweep/results.json").read_text())["jobs"]
    assert sorted(job["job"] for job in jobs) == [0, 1, 3, 4]
    assert all(trials[job["job"]].value == job["optimized_metric"] for job in jobs)


def test_failing_trials_end_the_search_beyond_the_rate_that_is_allowed(tmp_path):
    options = (BATCH_SIZE, "hydra.sweeper.n_trials=3", "+loader.wrong=1")
    done = search(tmp_path, *options, "hydra.sweeper.max_failure_rate=0.5")
    assert done.returncode == 1
    assert "1 of 3 jobs did not finish" in done.stderr and "Traceback" not in done.stderr


def test_a_function_of_the_users_can_suggest_parameters(tmp_path):
    (tmp_path / "space.py").write_text(
        "def suggest(config, trial):\n"
        "    trial.suggest_categorical('loader.batch_size', [2 * config.loader.batch_size])\n"
    )
    options = ("hydra/sweeper/sampler=random", "loader.batch_size=8", "hydra.sweeper.n_trials=1")
    done = search(tmp_path, *options, "hydra.sweeper.custom_search_space=space.suggest")
    assert done.returncode == 0, done.stderr
    assert [trial.params for trial in study(tmp_path).trials] == [{"loader.batch_size": 16}]
    assert study(tmp_path).best_value == 16

    done = search(tmp_path, *options, "hydra.sweeper.custom_search_space=space.no_such")
    assert done.returncode == 1
    assert "hydra.sweeper.custom_search_space=space.no_such: " in done.stderr and "Traceback" not in done.stderr
