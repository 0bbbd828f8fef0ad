"""One job of a sweep, and what is on disk of it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from ffcv_hydra.atomic_file import write_whole
from ffcv_hydra.run_folder import FINISHED, LAST, RESULT
from ffcv_hydra.sweeps.program import quoted

State = Literal["waiting", "running", "completed", "pruned", "failed", "interrupted"]

RECORD = "job.json"
PROGRESS = "progress.json"
LOG = "job.log"


@dataclass(eq=False)
class Job:
    """A run that a sweep has to make.

    Args:
        number: in the sweep, from 0 on.
        overrides: of the job's config, `key=value`.
        hydra_overrides: of Hydra's own config.
        config: the resolved config, as JSON has it, with a stand-in for the run's folder; None if it cannot be
            resolved, which the job itself then reports.
        folder: where its outputs go.
        common: overrides that all jobs of the sweep have.
    """

    number: int
    overrides: list[str]
    hydra_overrides: list[str]
    config: dict[str, Any] | None
    folder: Path
    common: frozenset[str] = frozenset()
    state: State = "waiting"
    skipped: bool = False
    """Whether an earlier sweep had finished it."""
    note: str = ""
    """What the user should know of where it is run."""
    seconds: float | None = None
    exit_status: int | None = None
    error: str | None = None

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def log(self) -> Path:
        return self.folder / LOG

    @property
    def label(self) -> str:
        """The overrides by which it differs from the sweep's other jobs, in one line."""
        own = [override for override in self.overrides if override not in self.common]
        return " ".join(own or self.overrides) or "no overrides"

    def result(self) -> dict[str, Any]:
        """Return what the run itself has written; empty when there is nothing."""
        return read_json(self.folder / RESULT)

    def progress(self) -> dict[str, Any]:
        """Return what the run has written after its last epoch; empty when there is nothing."""
        return read_json(self.folder / PROGRESS)

    def optimized_metric(self) -> tuple[str | None, float | None]:
        """Return name and value, so far, of the metric that the sweep is sorted by."""
        name = optimized_name(self.config)
        return name, optimized_value(name, self.result(), self.progress())

    def arguments(self) -> list[str]:
        """Return the overrides of the job's process; an unfinished job goes on from its newest checkpoint."""
        config, last = self.config or {}, self.folder / LAST
        overrides = [*self.hydra_overrides, *self.overrides, f"hydra.job.num={self.number}"]
        if config.get("mode") == "fit" and config.get("ckpt_path", "") is None and last.is_file():
            overrides.append(f"ckpt_path={quoted(str(last))}")
        return overrides

    def write(self) -> None:
        """Write the job's record, `job.json`, as a whole."""
        contents = {
            "job": self.number,
            "overrides": self.overrides,
            "state": self.state,
            "exit_status": self.exit_status,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "error": self.error,
            "config": self.config,
        }
        write_whole(self.folder / RECORD, json.dumps(contents, indent=2) + "\n")


class _Facts(TypedDict, total=False):
    """What a sweep writes of a job, and a run of its result and its progress, as far as it is read here."""

    job: int
    overrides: list[str]
    state: State
    exit_status: int | None
    seconds: float | None
    error: str | None
    config: dict[str, Any] | None
    status: str
    metrics: dict[str, float | None]
    optimized_metric: float | None
    samples_per_second: float | None
    epoch: int
    max_epochs: int | None
    seconds_left: float | None
    time: float


_FACTS = TypeAdapter(_Facts)


def optimized_name(config: Mapping[str, Any] | None) -> str | None:
    """Return the name of the metric that a run is judged by."""
    name = (config or {}).get("optimized_metric")
    return name if isinstance(name, str) else None


def optimized_value(name: str | None, *sources: Mapping[str, Any]) -> float | None:
    """Return the value of the metric `name` in the first source (a run's result or its progress) that has it."""
    for source in sources:
        value = source.get("optimized_metric")
        if value is None and name is not None:
            value = source.get(name) if name == "samples_per_second" else (source.get("metrics") or {}).get(name)
        if value is not None:
            return float(value)
    return None


def read_json(path: Path) -> dict[str, Any]:
    """Return what a job's or a run's JSON file says.

    Empty when there is no such file, it is cut short, or it is somebody else's: what it says of itself has other types.
    """
    try:
        found = json.loads(path.read_text())
        _FACTS.validate_python(found, strict=True)
    except (OSError, ValueError, RecursionError):
        return {}
    return found


def last_lines(path: Path, count: int) -> Sequence[str]:
    """Return the last `count` lines of a log that are not empty, of its last attempt: behind the command, `$ ...`."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16384))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    begin = max((number for number, line in enumerate(lines, 1) if line.startswith("$ ")), default=0)
    return lines[begin:][-count:]
