"""The process of a job: started afresh in a session of its own, ended with everything that it has started."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from ffcv_hydra.errors import SweepError
from ffcv_hydra.locks import lock
from ffcv_hydra.parent_death import die_with
from ffcv_hydra.process_ends import how_it_ended
from ffcv_hydra.run_folder import RESULT
from ffcv_hydra.sweeps.job import PROGRESS, Job, State, last_lines
from ffcv_hydra.sweeps.program import Program
from ffcv_hydra.sweeps.slots import Slot

PROGRESS_VARIABLE = "FFCV_HYDRA_PROGRESS"
"""Names the file that a run writes its progress to."""

BUSY_SECONDS = 120.0
"""How long processes of an earlier attempt at a job may take to go."""
_GRACE_SECONDS = 60.0
"""Between the request to stop and the end by force: a job finishes its batch and saves a checkpoint."""


class JobBusy(SweepError):
    """Processes of an earlier attempt at the job are still at work in its folder."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"processes of an earlier attempt still write to {job.log}; end them")


class JobProcess:
    """Starts a job's process; the job's state and record follow it.

    Its outputs, and those of all processes it starts, go to `job.log`. The log is locked as long as any of them has it
    open, so that no second attempt meets the first one. When this process dies, the job receives SIGTERM, by which it
    saves a checkpoint and ends.

    Args:
        job: what is run.
        program: how.
        slot: the cores and GPUs that it gets; None leaves them as they are.
        slurm: this process is one of the job's tasks under SLURM; all but task 0 write nothing but their own log.

    Raises:
        JobBusy: an earlier attempt is not over.
    """

    def __init__(self, job: Job, program: Program, slot: Slot | None = None, slurm: bool = False) -> None:
        self.job = job
        self.task = int(os.environ.get("SLURM_PROCID", 0)) if slurm else 0
        job.folder.mkdir(parents=True, exist_ok=True)
        self.log = job.log if self.task == 0 else job.log.with_suffix(f".{self.task}.log")
        command = program.job_command(job.arguments(), job.folder)
        variables = program.job_environment(slurm) | {PROGRESS_VARIABLE: str(job.folder / PROGRESS)}
        if slot is not None and slot.gpus is not None:
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(slot.gpus)
        with open(self.log, "ab") as output:
            if not lock(output):
                raise JobBusy(job)
            if self.task == 0:
                self._begin()
            output.write(f"$ {shlex.join(command)}\n".encode())
            output.flush()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=program.folder,
                env=variables,
                start_new_session=True,
                preexec_fn=_child_set_up(slot),
            )
        self._started_at = time.monotonic()
        self._stopped_at: float | None = None

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._started_at

    def poll(self) -> bool:
        """Return whether it has ended; then none of its processes is left, and the job's record says how it went.

        One that was asked to stop and has not in a minute is ended at once.
        """
        if self._stopped_at is not None and time.monotonic() - self._stopped_at > _GRACE_SECONDS:
            self._send(signal.SIGKILL)
        if os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return False
        # Before the process is reaped, so that its number still names this group and no other one.
        self._send(signal.SIGKILL)
        self._end(self._process.wait())
        return True

    def stop(self) -> None:
        """Ask every process of the job to end, once; a run then saves a checkpoint."""
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
            self._send(signal.SIGINT)

    def kill(self) -> None:
        """End every process of the job at once."""
        self._stopped_at = self._stopped_at or time.monotonic()
        self._send(signal.SIGKILL)

    def _send(self, signum: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signum)

    def _begin(self) -> None:
        for name in (RESULT, PROGRESS):  # of an earlier attempt
            (self.job.folder / name).unlink(missing_ok=True)
        self.job.state = "running"
        self.job.write()

    def _end(self, exit_status: int) -> None:
        job = self.job
        job.exit_status, job.seconds = exit_status, self.seconds
        result = job.result()
        job.state = _state(exit_status, result.get("status"), self._stopped_at is not None)
        if not job.finished:
            lines = last_lines(self.log, 1)
            said = lines[0] if lines and exit_status >= 0 else how_it_ended(exit_status)
            job.error = result.get("error") or said
        if self.task == 0:
            job.write()


def _state(exit_status: int, status: str | None, is_stopped: bool) -> State:
    if exit_status == 0:
        return "pruned" if status == "pruned" else "completed"
    by_signal = exit_status in (130, -signal.SIGINT, -signal.SIGTERM) or status == "interrupted"
    return "interrupted" if is_stopped or by_signal else "failed"


def _child_set_up(slot: Slot | None) -> Callable[[], None]:
    """What the new process does before it runs the program: little, since the worker of a launcher may have threads."""
    parent = os.getpid()

    def set_up() -> None:
        if slot is not None:
            os.sched_setaffinity(0, slot.cores)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored in what a script starts in the background
        die_with(parent, signal.SIGTERM)

    return set_up


def wait(process: JobProcess) -> None:
    """Wait until it has ended; whatever interrupts the waiting ends the job first."""
    try:
        while not process.poll():
            time.sleep(0.2)
    except BaseException:
        end([process])
        raise


def end(processes: Iterable[JobProcess]) -> None:
    """Stop processes politely (SIGINT: a run saves a checkpoint), and what is left after a minute at once."""
    left = list(processes)
    for process in left:
        process.stop()
    while left := [process for process in left if not process.poll()]:
        time.sleep(0.05)
