"""Runs contenders, each in a process of its own and in turn, and gathers what they say."""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from rich.console import Console

from benchmarks.work import Work

SECONDS_TO_END = 10
SAME_WITHIN = 0.3  # share by which statistics of random transforms may differ
SECONDS_TO_SETTLE = 1.0  # a contender that fills its queues after its turn must not disturb the next one


@dataclass
class Result:
    """What was found of one contender.

    Attributes:
        name: of the contender.
        values: one per repeat, in the table's unit.
        versions: of its packages.
        note: why there are no values, or what else is to be said.
        details: what it says of its batches.
    """

    name: str
    values: list[float] = field(default_factory=list)
    versions: str = ""
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float | None:
        """Of the values; None without any."""
        return statistics.median(self.values) if self.values else None


class Child:
    """A process that runs one task of `benchmarks.child`; to be used as a context manager.

    Args:
        task: name of the task.
        name: of the contender.
        work: what it is to do.
        environment: variables to set.
        seconds: after which it is ended; it may last as long as it likes by default.
    """

    def __init__(
        self,
        task: str,
        name: str,
        work: Work,
        environment: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed in __exit__)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.child", task, name, json.dumps(asdict(work))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | (environment or {}),
            start_new_session=True,
        )
        self.result = Result(name)
        self.is_over = False  # whether its time was
        self._timer = threading.Timer(threading.TIMEOUT_MAX if seconds is None else seconds, self._time_is_over)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let it end by itself, and then end whatever it has started."""
        self._timer.cancel()
        with suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=SECONDS_TO_END)
        self._kill()
        self._process.communicate()
        self._errors.close()

    def _time_is_over(self) -> None:
        self.is_over = True
        self._kill()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def ask(self, question: str = "") -> dict[str, Any] | None:
        """Write a line, if there is one to write, and wait for the reply; None, and a note, if there is none."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            if question:
                print(question, file=self._process.stdin, flush=True)
            reply = json.loads(self._process.stdout.readline() or "null")
        except BrokenPipeError:
            reply = None
        if reply is None and self.is_over:
            self.result.note = "ran out of time"
        elif reply is None:
            self._errors.seek(0)
            said = [line.strip() for line in self._errors if line.strip()]
            error = next((line for line in reversed(said) if "Error" in line), said[-1] if said else "without a word")
            self.result.note = f"failed: {error}"[:200]
        elif "not_installed" in reply:
            self.result.note = f"not installed: {reply['not_installed']}"
            reply = None
        return reply

    def start(self) -> bool:
        """Wait until it has imported what it needs; whether it could."""
        if (reply := self.ask()) is None:
            return False
        self.result.versions = reply["versions"]
        return True


def speeds(names: Sequence[str], work: Work, seconds: float, repeats: int) -> list[Result]:
    """Images per second of each contender: `repeats` rounds in which each has a turn of at least `seconds`.

    The processes stay alive from round to round, so that compiling and starting workers are not counted.
    """
    with ExitStack() as stack:
        everyone, children = started(stack, "serve", names, work)
        for _ in range(repeats):
            for child in children:
                time.sleep(SECONDS_TO_SETTLE)
                reply = child.ask(str(seconds))
                if reply is not None:
                    child.result.values.append(reply["images_per_second"])
                    say(f"{child.result.name}: {child.result.values[-1]:,.0f} images/s")
    return [child.result for child in everyone]


def started(
    stack: ExitStack, task: str, names: Sequence[str], work: Work, environment: Mapping[str, str] | None = None
) -> tuple[list[Child], list[Child]]:
    """All children, one after another so that they do not make the same files, and those that are ready for questions.

    What a child says when it is ready becomes its result's details.
    """
    everyone, children = [], []
    for name in names:
        child = stack.enter_context(Child(task, name, work, environment))
        everyone.append(child)
        details = child.ask() if child.start() else None
        say(f"{name}: {child.result.note or f'ready, {child.result.versions}'}")
        if details is not None:
            child.result.details = details
            children.append(child)
    return everyone, children


def mark_differences(results: Sequence[Result]) -> None:
    """Note which contenders make something else than the first one, by their details' shapes and statistics."""
    told = [result for result in results if result.details]
    for result in told[1:]:
        first = told[0].details
        if result.details["shapes"] != first["shapes"]:
            result.note = f"other shapes: {result.details['shapes']}, not {first['shapes']}"
        pairs = zip(result.details["statistics"], first["statistics"], strict=False)
        if any(abs(one - other) > 1 + SAME_WITHIN * other for one, other in pairs):
            result.note = f"other pictures: {result.details['statistics']}, not {first['statistics']}"


def ask_once(
    task: str, key: str, name: str, work: Work, result: Result, environment: Mapping[str, str] | None = None
) -> None:
    """Run a task in a new process, and add what it says under `key` to the result."""
    with Child(task, name, work, environment) as child:
        reply = child.ask() if child.start() else None
        result.versions, result.note = child.result.versions or result.versions, child.result.note
        if reply is not None and key in reply:
            result.values.append(reply[key])
            say(f"{result.name}: {key} {reply[key]:,.2f}")
        elif child.result.note:
            say(f"{result.name}: {child.result.note}")


def say(what: str) -> None:
    """Tell the user on stderr what is going on."""
    Console(stderr=True, highlight=False).print(what, style="dim", markup=False)
