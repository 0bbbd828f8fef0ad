"""Sweeps of trainings: the toy model, one epoch or a few."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
import torch

from ffcv_hydra.datasets import SplitFraction
from ffcv_hydra.sweeps.job import read_json
from tests.sweeps.real import results, run, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the user works; the beton is there after the first sweep."""
    return tmp_path_factory.mktemp("user")


@pytest.fixture(scope="module")
def grid(folder):
    jobs = min(2, len(os.sched_getaffinity(0)))
    options = ("trainer.max_epochs=1", "hydra.sweep.dir=grid", f"hydra.launcher.jobs={jobs}")
    return run(folder, "-m", "loader.num_workers=1,2", "loader.batch_size=8,16", *options)


def test_two_by_two_over_loader_options_ends_in_a_table_and_a_plot(grid, folder):
    found = results(folder / "grid")
    assert [found[number]["overrides"]["loader.num_workers"] for number in range(4)] == ["1", "1", "2", "2"]
    assert [found[number]["overrides"]["loader.batch_size"] for number in range(4)] == ["8", "16", "8", "16"]
    assert {job["state"] for job in found.values()} == {"completed"}
    assert found[0]["optimized_metric"] == found[2]["optimized_metric"] != found[1]["optimized_metric"]
    assert all(job["samples_per_second"] > 0 for job in found.values())
    assert (folder / "grid/results.png").stat().st_size > 10_000
    header = next(line for line in grid.splitlines() if "loader.num_workers" in line and "val_loss" in line)
    assert all(word in header for word in ("job", "loader.batch_size", "images/s", "time", "path"))
    assert "best: loader.num_workers=" in grid
    progress = json.loads((folder / "grid/3/progress.json").read_text())
    assert (progress["epoch"], progress["max_epochs"], progress["seconds_left"]) == (1, 1, 0)


DDP = ("-m", "trainer=ddp_cpu", "trainer.max_epochs=12", "loader.batch_size=8,16", "hydra.sweep.dir=ddp")


@pytest.fixture(scope="module")
def ddp(grid, folder):
    """A sweep with DDP that is stopped in the middle of its second job, and the one that goes on."""
    with started(folder, *DDP) as process:
        deadline = time.monotonic() + 200
        while read_json(folder / "ddp/1/progress.json").get("epoch", 0) < 2:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        group = subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True).split()[0]
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=90)
    left = subprocess.run(["pgrep", "-g", group], capture_output=True, text=True).stdout
    between = json.loads((folder / "ddp/1/result.json").read_text()), process.returncode, left
    return output, between, run(folder, *DDP)


def test_both_ranks_take_part_in_every_job(ddp, folder):
    for number in range(2):
        log = (folder / f"ddp/{number}/job.log").read_text()
        assert {"GLOBAL_RANK: 0, MEMBER: 1/2", "GLOBAL_RANK: 1, MEMBER: 2/2"} <= set(
            re.findall(r"GLOBAL_RANK: \d, MEMBER: \d/\d", log)
        )
        checkpoint = torch.load(folder / f"ddp/{number}/checkpoints/last.ckpt", weights_only=True)
        steps = len(SplitFraction(0.0, 0.7)(256)) // (2 * (8, 16)[number])
        assert checkpoint["global_step"] == (checkpoint["epoch"] + 1) * steps, "each rank had half of the samples"


def test_a_stopped_sweep_leaves_no_process_and_goes_on_in_the_middle_of_a_job(ddp, folder):
    first, (result, status, left), second = ddp
    assert status == 130
    assert result["status"] == "interrupted"
    assert not left
    assert "job 0 completed" in first and "job 1 interrupted" in first
    assert "so not run again: 0\n" in second and "job 1 completed" in second
    log = (folder / "ddp/1/job.log").read_text()
    assert "ckpt_path=" in log.split("$ ")[-1]
    assert "epoch 1/12" in log.split("$ ")[1] and "epoch 1/12" not in log.split("$ ")[-1]
    assert "epoch 12/12" in log.split("$ ")[-1]
