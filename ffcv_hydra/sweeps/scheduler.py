"""Running the jobs of a sweep on one machine, one in each slot at a time."""

import os
import time
from collections.abc import Mapping, Sequence

from ffcv_hydra.sweeps.display import Display
from ffcv_hydra.sweeps.job import Job
from ffcv_hydra.sweeps.job_process import JobBusy, JobProcess, end
from ffcv_hydra.sweeps.program import Program
from ffcv_hydra.sweeps.slots import Slot
from ffcv_hydra.sweeps.stop_requests import StopRequests

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 60.0
"""Between the request to stop and the end by force: a job finishes its batch and saves a checkpoint."""
_BUSY_SECONDS = 120.0
"""How long processes of an earlier attempt at a job may take to go."""


class Scheduler:
    """Runs jobs that are not finished yet, in their order.

    Args:
        program: how a job is started.
        slots: the shares of the machine; as many jobs run at once.
        fail_fast: the first failure stops the other jobs, too.
        environment: this process's; by default the current one.
    """

    def __init__(
        self, program: Program, slots: Sequence[Slot], fail_fast: bool, environment: Mapping[str, str] | None = None
    ) -> None:
        self.program = program
        self.slots = list(slots)
        self.fail_fast = fail_fast
        self.environment = dict(os.environ if environment is None else environment)
        self._running: dict[Slot, JobProcess] = {}
        self._stopping_since: float | None = None
        self._killed = False

    def run(self, jobs: Sequence[Job], display: Display) -> None:
        """Run the jobs; each has its final state and record when this returns.

        Raises:
            KeyboardInterrupt: after all processes have ended, if SIGINT, SIGTERM or SIGHUP asked for it. The first one
                lets jobs save a checkpoint, the second one ends them at once.
        """
        self._running, self._stopping_since, self._killed = {}, None, False
        with StopRequests() as requests, display:
            try:
                self._run(jobs, display, requests)
            except BaseException:  # such as of a console that is gone
                end(list(self._running.values()))
                raise
        if requests.count:
            raise KeyboardInterrupt

    def _run(self, jobs: Sequence[Job], display: Display, requests: StopRequests) -> None:
        waiting = [job for job in jobs if not job.finished]
        begun = time.monotonic()
        while waiting or self._running:
            self._collect(display)
            if requests.count or (self.fail_fast and any(job.state == "failed" for job in jobs)):
                waiting.clear()
                self._stop(requests.count, display)
            self._start(waiting, display, time.monotonic() - begun)
            display.update(jobs, {process.job: process.seconds for process in self._running.values()})
            if waiting or self._running:
                time.sleep(_POLL_SECONDS)

    def _collect(self, display: Display) -> None:
        for slot, process in list(self._running.items()):
            if process.poll():
                del self._running[slot]
                display.ended(process.job)

    def _start(self, waiting: list[Job], display: Display, seconds: float) -> None:
        for slot in self.slots:
            if slot in self._running or not waiting:
                continue
            job = next((job for job in waiting if self._try(job, slot)), None)
            if job is not None:
                waiting.remove(job)
                display.started(job)
            elif seconds > _BUSY_SECONDS and not self._running:
                job = waiting.pop(0)
                job.state, job.error = "failed", f"processes of an earlier attempt still write to {job.log}; end them"
                display.ended(job)

    def _try(self, job: Job, slot: Slot) -> bool:
        try:
            self._running[slot] = JobProcess(job, self.program, self.environment, slot)
        except JobBusy:
            return False
        return True

    def _stop(self, requests: int, display: Display) -> None:
        now = time.monotonic()
        if self._stopping_since is None:
            self._stopping_since = now
            display.stopping()
            for process in self._running.values():
                process.stop()
        elif not self._killed and (requests > 1 or now - self._stopping_since > _GRACE_SECONDS):
            self._killed = True
            for process in self._running.values():
                process.kill()
