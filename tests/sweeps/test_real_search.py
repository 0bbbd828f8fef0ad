"""Searches: for parameters of trainings, and for the fastest loader."""

import json
import os

import pytest
import yaml

from ffcv_hydra.sweeps.job import read_json
from tests.sweeps.real import results, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_optuna_prunes_on_all_ranks_and_goes_on_from_its_storage(tmp_path):
    options = (
        "-m", "hparams_search=optuna", "model.optimizer.lr=choice(0.003,0.0)", "trainer=ddp_cpu",
        "trainer.max_epochs=3",
        "hydra.sweeper.sampler._target_=optuna.samplers.BruteForceSampler", "hydra.sweeper.sampler.seed=1",
        "hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.pruner.n_warmup_steps=0", "hydra.sweep.dir=search",
    )  # fmt: skip
    run(tmp_path, *options, "hydra.sweeper.n_trials=1")
    assert {number: job["state"] for number, job in results(tmp_path / "search").items()} == {0: "completed"}
    output = run(tmp_path, *options, "hydra.sweeper.n_trials=2")
    assert "job 0" not in output and "job 1 pruned" in output
    log = (tmp_path / "search/1/job.log").read_text()
    assert "GLOBAL_RANK: 1, MEMBER: 2/2" in log and "epoch 1/3" in log and "epoch 2/3" not in log
    assert read_json(tmp_path / "search/1/result.json")["status"] == "pruned"
    assert "best_params:\n  model.optimizer.lr: 0.003" in (tmp_path / "search/optimization_results.yaml").read_text()


def test_tune_loader_measures_the_loader_without_training_and_prints_what_to_use(tmp_path):
    options = ("experiment=tune_loader", "bench_seconds=0.3", "loader.batches_ahead=2", "loader.os_cache=true")
    output = run(tmp_path, *options, "loader.num_workers=1,2", "hydra.sweep.dir=tune")
    found = results(tmp_path / "tune")
    assert [found[number]["state"] for number in sorted(found)] == ["completed", "completed"]
    best = max(found.values(), key=lambda job: job["samples_per_second"])
    assert f"best: loader.num_workers={best['overrides']['loader.num_workers']} (" in output
    described = json.loads((tmp_path / "tune/results.json").read_text())
    assert (described["metric"], described["mode"]) == ("samples_per_second", "max")
    assert "image: decoding" in (tmp_path / "tune/0/job.log").read_text()
    one, other = (read_json(tmp_path / f"tune/{number}/bench.json") for number in (0, 1))
    assert [each["facts"]["settings"]["loader.num_workers"] for each in (one, other)] == [1, 2]
    assert one["samples_per_second"] == found[0]["samples_per_second"]
    assert not list(tmp_path.rglob("*.ckpt"))


def test_tune_loader_is_a_sweep_over_all_loader_options_that_matter(tmp_path):
    shown = run(tmp_path, "--cfg", "hydra", "--resolve", "experiment=[digits,tune_loader]")
    swept = yaml.safe_load(shown)["hydra"]
    assert swept["mode"] == "MULTIRUN"
    counts = swept["sweeper"]["params"].pop("loader.num_workers").split(",")
    assert counts[0] == "1" and counts[-1] == str(len(os.sched_getaffinity(0)))
    assert swept["sweeper"]["params"] == {"loader.batches_ahead": "2,4", "loader.os_cache": "true,false"}
