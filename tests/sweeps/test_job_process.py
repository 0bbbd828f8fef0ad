"""The process of a job: what it is given, how it ends, and what its record says then."""

import signal
import sys
import time

import pytest

from ffcv_hydra.sweeps.job import Job
from ffcv_hydra.sweeps.job_process import JobBusy, JobProcess, wait
from ffcv_hydra.sweeps.program import Program

pytestmark = pytest.mark.timeout(60)

SCRIPT = (
    "import os, pathlib; "
    "pathlib.Path('seen' + os.environ.get('SLURM_PROCID', '')).write_text(os.environ.get('SLURM_NTASKS', 'none'))"
)


def light_job(folder):
    return Job(0, [], [], None, folder / "job")


def test_a_task_of_slurm_keeps_its_rank_and_only_task_0_keeps_the_record(tmp_path, monkeypatch):
    program = Program((sys.executable, "-c", SCRIPT), (), str(tmp_path), None)
    job = light_job(tmp_path)
    for name, value in (("SLURM_PROCID", "1"), ("SLURM_NTASKS", "2"), ("MASTER_PORT", "1234")):
        monkeypatch.setenv(name, value)
    wait(JobProcess(job, program, slurm=True))
    assert (tmp_path / "seen1").read_text() == "2"
    assert {path.name for path in job.folder.iterdir()} == {"job.1.log"}
    monkeypatch.setenv("SLURM_PROCID", "0")
    wait(JobProcess(job, program, slurm=True))
    assert {path.name for path in job.folder.iterdir()} == {"job.1.log", "job.log", "job.json"}
    wait(JobProcess(job, program))
    assert (tmp_path / "seen").read_text() == "none"


def test_a_job_whose_earlier_processes_still_write_is_not_begun(tmp_path):
    program = Program((sys.executable, "-c", "import time; time.sleep(60)"), (), str(tmp_path), None)
    first = JobProcess(light_job(tmp_path), program)
    with pytest.raises(JobBusy):
        JobProcess(light_job(tmp_path), program)
    first.kill()
    wait(first)


def test_F23_a_death_by_sigbus_is_explained_whatever_was_said_before(tmp_path):
    script = "import os, signal; print('epoch 3', flush=True); os.kill(os.getpid(), signal.SIGBUS)"
    process = JobProcess(light_job(tmp_path), Program((sys.executable, "-c", script), (), str(tmp_path), None))
    wait(process)
    meaning = "a file that was being read was cut short, or its disk failed"
    assert (process.job.state, process.job.error) == ("failed", f"killed by SIGBUS: {meaning}")


CLUMSY = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit("lost a connection"))
print("ready", flush=True)
time.sleep(60)
"""


def test_a_job_that_was_asked_to_stop_has_not_failed_whatever_its_exit_status(tmp_path):
    process = JobProcess(light_job(tmp_path), Program((sys.executable, "-c", CLUMSY), (), str(tmp_path), None))
    while "ready" not in process.log.read_text().splitlines():
        time.sleep(0.02)
    process.stop()
    wait(process)
    assert (process.job.state, process.job.exit_status) == ("interrupted", 1)


def test_a_job_listens_to_ctrl_c_also_when_the_sweep_runs_in_a_scripts_background(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sleeper = Program((sys.executable, "-c", "import time; time.sleep(60)"), (), str(tmp_path), None)
        process = JobProcess(light_job(tmp_path), sleeper)
    finally:
        signal.signal(signal.SIGINT, before)
    process.stop()
    wait(process)
    assert process.job.state == "interrupted"
