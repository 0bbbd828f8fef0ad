"""What a sweep shows while it runs: one live table on a terminal, elsewhere a line when a job starts or ends."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ffcv_hydra.sweeps.formats import duration, number
from ffcv_hydra.sweeps.job import Job, last_lines

_STYLES = {"running": "cyan", "completed": "green", "pruned": "yellow", "failed": "red", "interrupted": "yellow"}
_REFRESH_SECONDS = 0.5
_FAILURE_LINES = 8


class Display:
    """Shows the jobs of a sweep; entered while they run.

    Without a thread of its own: the sweep starts processes, which a program with threads should not do by fork.

    Args:
        console: where; a table is drawn if it is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._updated_at = 0.0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def started(self, job: Job) -> None:
        """A job has been started."""
        if job.note:
            self._say(f"job {job.number}: {job.note}")
        if self._live is None:
            self._say(f"job {job.number} started: {job.label}")

    def ended(self, job: Job) -> None:
        """A job has ended; one that failed is shown with the last lines of its log."""
        if job.state == "failed":
            self._say(f"job {job.number} failed: {job.label}; the end of {job.log}:")
            for line in last_lines(job.log, _FAILURE_LINES):
                self._say(f"    {line}")
        elif self._live is None:
            self._say(f"job {job.number} {job.state} after {duration(job.seconds)}{_facts(job)}")

    def stopping(self) -> None:
        """The jobs that run have been asked to stop."""
        self._say("stopping: jobs finish their batch and save a checkpoint; Ctrl-C once more ends them at once")

    def skipped(self, jobs: Sequence[Job]) -> None:
        """These jobs had been finished before."""
        numbers = ", ".join(str(job.number) for job in jobs)
        self._say(f"finished before with the same config, so not run again: {numbers}")

    def update(self, jobs: Sequence[Job], seconds: Mapping[Job, float]) -> None:
        """Draw the table again, if it is time; `seconds` says for how long the running jobs have been running."""
        now = time.monotonic()
        if self._live is not None and now - self._updated_at > _REFRESH_SECONDS:
            self._updated_at = now
            self._live.update(self._table(jobs, seconds), refresh=True)

    def _say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True)

    def _table(self, jobs: Sequence[Job], seconds: Mapping[Job, float]) -> Table:
        metric = next((name for job in jobs if (name := job.optimized_metric()[0])), "metric")
        table = Table("job", "overrides", "state", "epoch", metric, "images/s", "time", "time left")
        # The newest that fit on the screen: rows that scroll away cannot be drawn over.
        room = max(4, self.console.height - 6)
        started = [job for job in jobs if job.state != "waiting"]
        shown = (started + [job for job in jobs if job.state == "waiting"])[max(0, len(started) + 2 - room) :][:room]
        for job in shown:
            table.add_row(*_row(job, seconds.get(job)))
        if len(shown) < len(jobs):
            table.caption = f"{len(shown)} of {len(jobs)} jobs"
        return table


def _row(job: Job, seconds: float | None) -> list[str | Text]:
    state = Text(job.state, _STYLES.get(job.state, ""))
    progress = {} if job.state == "waiting" else job.progress()
    result = job.result() if job.finished else {}
    _, value = job.optimized_metric() if job.state != "waiting" else (None, None)
    speed = result.get("samples_per_second") or progress.get("samples_per_second")
    return [
        str(job.number), job.label, state, _epoch(progress), number(value), number(speed),
        duration(job.seconds if seconds is None else seconds), _time_left(progress) if job.state == "running" else "",
    ]  # fmt: skip


def _epoch(progress: Mapping[str, Any]) -> str:
    last = progress.get("max_epochs")
    return f"{progress.get('epoch', '')}" + (f"/{last}" if last else "")


def _time_left(progress: Mapping[str, Any]) -> str:
    left = progress.get("seconds_left")
    return "" if left is None else duration(max(0.0, left - (time.time() - progress.get("time", time.time()))))


def _facts(job: Job) -> str:
    name, value = job.optimized_metric()
    speed = job.result().get("samples_per_second")
    facts = [] if value is None or name == "samples_per_second" else [f"{name} {number(value)}"]
    facts += [] if speed is None else [f"{number(speed)} images/s"]
    return f": {', '.join(facts)}" if facts else ""
