"""The local launcher on a user's own program: fresh processes, slots, failures, stopping and resuming."""

import os
import signal
import subprocess
import sys
import time

import pytest
from hydra.core.utils import JobReturn, JobStatus

from ffcv_hydra.cli import composition_errors
from ffcv_hydra.errors import SweepError
from ffcv_hydra.sweeps.grid import raise_failures
from ffcv_hydra.sweeps.job import Job
from ffcv_hydra.sweeps.planning import place
from ffcv_hydra.sweeps.summary import summarize

pytestmark = pytest.mark.timeout(120)

RANK_VARIABLES = {
    "LOCAL_RANK": "1", "RANK": "1", "WORLD_SIZE": "2", "MASTER_PORT": "12345", "TORCHELASTIC_RUN_ID": "x",
    "SLURM_NTASKS": "4", "SLURM_PROCID": "2",
}  # fmt: skip


def test_a_job_is_a_fresh_process_of_the_users_program_without_rank_variables(sweeps):
    output = sweeps.run("a=one,'t w=o,\"'", "b=1", **RANK_VARIABLES)
    found = [sweeps.result(job) for job in range(2)]
    assert [result["ranks"] for result in found] == [[], []]
    assert [result["number"] for result in found] == [0, 1]
    assert len({sweeps.pid(f"{job}/started") for job in range(2)}) == 2
    assert found[1]["metrics"]["loss"] == len('t w=o,"') + 1
    assert "job 0 completed" in output and "best: a=one (loss 4)" in output


def test_jobs_that_run_at_once_have_cores_of_their_own(sweeps):
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        pytest.skip("needs two cores")
    sweeps.run(
        "a=x,y,z", "seconds=2", "hydra.launcher.jobs=2", "hydra.launcher.gpus_per_job=1", CUDA_VISIBLE_DEVICES="5,7"
    )
    first, second, third = (sweeps.result(job) for job in range(3))
    assert first["begun"] < second["ended"] and second["begun"] < first["ended"], "at once"
    assert not set(first["cores"]) & set(second["cores"])
    assert sorted(first["cores"] + second["cores"]) == usable
    assert {first["gpus"], second["gpus"]} == {"5", "7"}
    assert (third["cores"], third["gpus"]) in [(job["cores"], job["gpus"]) for job in (first, second)]


@pytest.mark.parametrize(
    ("option", "message"),
    [("jobs=0", "hydra.launcher.jobs=0"), ("jobs=5000", "usable cores"), ("gpus_per_job=3", "has 2 GPUs")],
)
def test_slots_that_the_machine_has_not_are_refused_before_any_job(sweeps, option, message):
    output = sweeps.run("a=x,y", f"hydra.launcher.{option}", status=1, CUDA_VISIBLE_DEVICES="0,1")
    assert message in output
    assert sweeps.jobs() == []


def test_each_job_that_failed_has_a_line():
    jobs = [JobReturn(status=JobStatus.FAILED) for _ in range(12)]
    for number, job in enumerate(jobs):
        job.return_value = SweepError(f"job {number} failed:\n  no luck")
    with pytest.raises(SweepError) as raised:
        raise_failures(jobs, 13)
    first, *lines, last = str(composition_errors.explain(raised.value)).splitlines()
    assert first == "12 of 13 jobs did not finish:"
    assert lines == [f"  job {number} failed: no luck" for number in range(10)] and last == "  and 2 more"


def test_a_failing_job_is_shown_the_others_go_on_and_a_second_time_only_it_is_run(sweeps):
    overrides = ("a=one,bad,three", "b=2")
    output = sweeps.run(*overrides, f"mended={sweeps.folder}/mended", status=1)
    assert "job 1 failed: a=bad" in output and "    this job is bad" in output
    assert "1 of 3 jobs did not finish: job 1 (a=bad) failed: this job is bad" in output
    assert [job["state"] for job in sweeps.table()] == ["completed", "completed", "failed"]
    assert sweeps.record(1)["exit_status"] == 3
    first = [sweeps.pid(f"{job}/started") for job in range(3)]

    (sweeps.folder / "mended").touch()
    output = sweeps.run(*overrides, f"mended={sweeps.folder}/mended")
    assert "finished before with the same config, so not run again: 0, 2\n" in output
    second = [sweeps.pid(f"{job}/started") for job in range(3)]
    assert [before == now for before, now in zip(first, second, strict=True)] == [True, False, True]
    assert [job["state"] for job in sweeps.table()] == ["completed"] * 3
    assert sweeps.jobs() == ["0", "1", "2"]


def test_fail_fast_stops_the_jobs_that_run_and_starts_no_other(sweeps):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    options = ("hydra.launcher.jobs=2", "hydra.launcher.fail_fast=true")
    output = sweeps.run("a=long,bad,never", "seconds=60", *options, status=1)
    assert "job 1 failed" in output and "job 2 (a=never) was not started" in output
    assert sweeps.jobs() == ["0", "1"]
    assert sweeps.record(0)["state"] == "interrupted"


def test_ctrl_c_ends_every_process_and_a_changed_config_is_noticed_afterwards(sweeps, gone):
    process = sweeps.start("a=one,two", "seconds=60", "child=true")
    sweeps.wait_for("0/child")
    pids = sweeps.pid("0/started"), sweeps.pid("0/child")
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "stopping: jobs finish" in output
    assert f"the same command with hydra.sweep.dir={sweeps.folder / 'sweep'} runs what is missing" in output
    gone(*pids)
    assert sweeps.record(0)["state"] == "interrupted"
    assert sweeps.jobs() == ["0"]
    assert [job["state"] for job in sweeps.table()] == ["interrupted"]

    output = sweeps.run("a=one,two", "seconds=0", "child=true")
    assert "holds a job of another config (seconds: 60 -> 0); this one goes to 0-2/" in output
    assert sweeps.result("0-2")["ckpt_path"] is None
    assert sweeps.jobs() == ["0", "0-2", "1"]
    gone(*(sweeps.pid(f"{job}/child") for job in sweeps.jobs()))


def test_an_unfinished_job_is_given_its_newest_checkpoint(sweeps, gone):
    process = sweeps.start("a=one", "seconds=4")
    sweeps.wait_for("0/started")
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert sweeps.record(0)["state"] == "interrupted"
    sweeps.run("a=one", "seconds=4")
    assert sweeps.result(0)["ckpt_path"] == str(sweeps.folder / "sweep/0/checkpoints/last.ckpt")
    assert sweeps.record(0)["state"] == "completed"


def test_a_second_ctrl_c_ends_jobs_that_do_not_listen(sweeps, gone):
    process = sweeps.start("a=one", "seconds=60", "child=true", "deaf=true")
    sweeps.wait_for("0/child")
    pids = sweeps.pid("0/started"), sweeps.pid("0/child")
    os.kill(process.pid, signal.SIGINT)
    for line in process.stdout:
        if "stopping" in line:
            break
    time.sleep(0.6)  # sooner, it would count as the same one
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode != 0
    gone(*pids)


def test_a_sweep_that_is_killed_takes_its_jobs_along_and_is_gone_on_with(sweeps, gone):
    process = sweeps.start("a=one,two", "seconds=3")
    sweeps.wait_for("1/started")
    process.kill()
    process.communicate(timeout=30)
    gone(sweeps.pid("1/started"))
    assert sweeps.record(1)["state"] == "running"
    summarize(sweeps.folder / "sweep")
    assert [job["state"] for job in sweeps.table()] == ["completed", "killed"]
    before = sweeps.pid("0/started")
    output = sweeps.run("a=one,two", "seconds=3")
    assert "so not run again: 0\n" in output
    assert sweeps.pid("0/started") == before
    assert [job["state"] for job in sweeps.table()] == ["completed", "completed"]


def test_a_grid_that_has_grown_runs_only_what_is_new(sweeps):
    sweeps.run("a=one", "b=1,2")
    output = sweeps.run("a=one,two", "b=1,2,3")
    assert "so not run again: 0, 1\n" in output
    assert "another config" not in output
    pairs = [(job["overrides"]["a"], job["overrides"]["b"]) for job in sweeps.table()]
    assert sorted(pairs) == [(a, b) for a in ("one", "two") for b in "123"]


def test_a_new_job_keeps_away_from_the_folder_of_one_that_moved(tmp_path):
    def jobs(*values):
        return [Job(n, [f"a={a}"], [], {"a": a}, tmp_path / str(n)) for n, a in enumerate(values)]

    for job in jobs(1, 2):
        job.folder.mkdir()
        job.state = "completed"
        job.write()
    place(found := jobs(2, 3, 1), tmp_path)
    assert [(job.folder.name, job.skipped) for job in found] == [("1", True), ("1-2", False), ("0", True)]


def test_two_sweeps_in_one_folder_are_refused(sweeps, gone):
    process = sweeps.start("a=one", "seconds=60")
    sweeps.wait_for("0/started")
    assert "another sweep is at work" in sweeps.run("a=one", "seconds=60", status=1)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=30)


def test_the_files_and_the_command_for_a_finished_sweep_say_the_same(sweeps):
    output = sweeps.run("a=one,three,worse", "b=2,1", "optimized_mode=max")
    assert [job["optimized_metric"] for job in sweeps.table()] == [7, 7, 6, 6, 5, 4]
    lines = (sweeps.folder / "sweep/results.csv").read_text().splitlines()
    assert lines[0] == "job,a,b,optimized_mode,state,optimized_metric,loss,samples_per_second,seconds,path"
    assert lines[1].startswith("2,three,2,max,completed,7.0,7.0,20.0,")
    assert (sweeps.folder / "sweep/results.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    for name in ("results.csv", "results.json", "results.png"):
        (sweeps.folder / "sweep" / name).unlink()
    again = subprocess.run(
        [sys.executable, "-m", "ffcv_hydra", "sweep", "sweep"],
        cwd=sweeps.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert again.returncode == 0, again.stderr
    assert again.stdout == output[output.index("┏") :]
    assert (sweeps.folder / "sweep/results.csv").read_text().splitlines() == lines
