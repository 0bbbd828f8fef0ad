"""Running the jobs of a sweep on one machine, one in each slot at a time."""

import time
from collections.abc import Sequence
from contextlib import suppress

from ffcv_hydra.sweeps.display import Display
from ffcv_hydra.sweeps.job import Job
from ffcv_hydra.sweeps.job_process import BUSY_SECONDS, JobBusy, JobProcess, end
from ffcv_hydra.sweeps.program import Program
from ffcv_hydra.sweeps.slots import Slot
from ffcv_hydra.sweeps.stop_requests import StopRequests

_POLL_SECONDS = 0.2


def run_jobs(jobs: Sequence[Job], program: Program, slots: Sequence[Slot], fail_fast: bool, display: Display) -> None:
    """Run the jobs that are not finished yet, in their order; each has its final state and record when this returns.

    Args:
        jobs: of the sweep.
        program: how a job is started.
        slots: the shares of the machine; as many jobs run at once.
        fail_fast: the first failure stops the other jobs, too.
        display: is told what happens.

    Raises:
        KeyboardInterrupt: after all processes have ended, if SIGINT, SIGTERM or SIGHUP asked for it. The first one
            lets jobs save a checkpoint, the second one ends them at once.
    """
    waiting = [job for job in jobs if not job.finished]
    running: dict[Slot, JobProcess] = {}
    begun, is_stopping = time.monotonic(), False
    with StopRequests() as requests, display:
        try:
            while waiting or running:
                for slot in [slot for slot, process in running.items() if process.poll()]:
                    display.ended(running.pop(slot).job)
                if requests.count or (fail_fast and any(job.state == "failed" for job in jobs)):
                    waiting.clear()
                    if not is_stopping:
                        display.stopping()
                    is_stopping = True
                    for process in running.values():
                        process.kill() if requests.count > 1 else process.stop()
                for slot in slots:
                    if slot not in running and (started := _start(waiting, program, slot)):
                        running[slot] = started
                        display.started(started.job)
                if waiting and not running and time.monotonic() - begun > BUSY_SECONDS:
                    job = waiting.pop(0)
                    job.state, job.error = "failed", str(JobBusy(job))
                    display.ended(job)
                display.update(jobs, {process.job: process.seconds for process in running.values()})
                if waiting or running:
                    time.sleep(_POLL_SECONDS)
        except BaseException:  # such as of a console that is gone
            end(running.values())
            raise
    if requests.count:
        raise KeyboardInterrupt


def _start(waiting: list[Job], program: Program, slot: Slot) -> JobProcess | None:
    """Start the first job that waits and is not busy; it waits no longer."""
    for job in waiting:
        with suppress(JobBusy):
            process = JobProcess(job, program, slot)
            waiting.remove(job)
            return process
    return None
