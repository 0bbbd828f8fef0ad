"""Reads the folder of a run: its config, its result, how it ended, and its metrics as columns."""

import csv
import io
import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.process_identity import is_there

RESULT = "result.json"
CONFIG = "config.yaml"
LOG = "run.log"
METRICS = "metrics.csv"
METRICS_BY_STEP = "metrics_by_step.csv"
PREDICTIONS = "predictions.pt"
CHECKPOINTS = "checkpoints"
LAST = f"{CHECKPOINTS}/last.ckpt"

RUNNING = "running"
COMPLETED = "completed"
PRUNED = "pruned"
FAILED = "failed"
INTERRUPTED = "interrupted"
FINISHED = (COMPLETED, PRUNED)
KILLED = "killed"
"""The status of a run whose process is gone without having said so: by SIGKILL, for want of memory, or of power."""


class _Process(TypedDict, total=False):
    host: str
    pid: int
    started: int | None
    boot: str | None
    namespace: str | None


class Result(TypedDict, total=False):
    """What a run writes of its result, as far as it is read."""

    status: str
    mode: str
    seed: int | None
    overrides: list[str]
    error: str | None
    metrics: dict[str, float | None]
    optimized_metric: float | None
    best_checkpoint: str | None
    samples_per_second: float | None
    waiting: float | None
    process: _Process


_RESULT = TypeAdapter(Result)

Columns = dict[str, list[float | None]]


@dataclass(frozen=True)
class RunFolder:
    """What is in the folder of a run.

    Attributes:
        path: absolute.
        config: the resolved one; empty if it is not there.
        result: as `result.json` has it.
        status: `completed`, `pruned`, `failed`, `interrupted`, `running` or `killed`.
        ending: how the run ended, in words.
    """

    path: Path
    config: dict[str, Any]
    result: dict[str, Any]
    status: str
    ending: str

    @property
    def metrics(self) -> Columns:
        """By name, one value per epoch of the training; `epoch` (from 1 on) and `step` are among them."""
        return read_columns(self.path / METRICS)

    @property
    def metrics_by_step(self) -> Columns:
        """By name, one value per step at which something was logged; `step` and `epoch` are among them."""
        return read_columns(self.path / METRICS_BY_STEP)

    @property
    def last_metrics(self) -> dict[str, tuple[float | None, int]]:
        """By name, what `metrics.csv` has last of each metric, `epoch` included, and its epoch; None for no number.

        That is what there is of a run that was killed or still runs: it has not recorded its metrics.
        """
        return last_metrics(self.path)


def last_metrics(folder: Path) -> dict[str, tuple[float | None, int]]:
    """`RunFolder.last_metrics` of any folder; empty where there is no `metrics.csv`."""
    columns = read_columns(folder / METRICS)
    epochs = columns.get("epoch", [])
    found: dict[str, tuple[float | None, int]] = {}
    for name, values in columns.items():
        for value, epoch in zip(values, epochs, strict=False):
            if value is not None and epoch is not None and name != "step":
                found[name] = value if math.isfinite(value) else None, int(epoch)
    return found


def read_run(path: str | Path) -> RunFolder:
    """Read the folder of a run.

    Raises:
        ConfigError: it is none, or its `result.json` or `config.yaml` is damaged.
    """
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "there is no such folder"
        raise ConfigError(f"{path}: {what}; give the folder of a run")
    try:
        text = (folder / RESULT).read_text()
    except FileNotFoundError:
        holds_runs = any(folder.glob(f"*/{RESULT}"))
        advice = f"; folders in it do: python -m ffcv_hydra sweep {path} tells of them" if holds_runs else ""
        raise ConfigError(f"{path}: no folder of a run, it holds no {RESULT}{advice}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder / RESULT} cannot be read: {error}") from error
    try:
        result = json.loads(text)
        _RESULT.validate_python(result, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{folder / RESULT} is damaged, or not of a run: {place}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{folder / RESULT} is damaged: {error}") from None
    status, ending = how_it_ended(folder, result)
    return RunFolder(folder, read_config(folder / CONFIG), result, status, ending)


def read_config(path: Path) -> dict[str, Any]:
    """Read the config that a run has saved; empty if it has none. Raises `ConfigError` if it is damaged."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is damaged: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is damaged: it holds no keys")
    return found


def how_it_ended(folder: Path, result: Mapping[str, Any]) -> tuple[str, str]:
    """Return status and words: a run that says it is running may have been killed.

    That is only said where it is certain: on the machine, or in the container, that it ran in, by the number and the
    start of its process. From elsewhere, its last sign of life is told.
    """
    status, error = result.get("status", "unknown"), result.get("error")
    if status != RUNNING:
        return status, f"{status}: {error}" if error else status
    process = result.get("process") or {}
    seen = _ago(time.time() - last_sign_of_life(folder))
    there = is_there(process) if "pid" in process else None
    if there:
        return status, f"running, as process {process['pid']}"
    if there is None:
        host = process.get("host")
        return status, f"running{f' on {host}' if host else ''} when it was last seen, {seen} ago"
    return KILLED, f"killed: its process {process['pid']} is gone, without a word; last sign of life {seen} ago"


def last_sign_of_life(folder: Path) -> float:
    """When a file of the run was last written, in seconds since 1970."""
    files = [folder / name for name in (RESULT, LOG, METRICS, METRICS_BY_STEP)]
    seen = [0.0]
    for file in [*files, *folder.glob(f"{CHECKPOINTS}/*")]:
        with suppress(OSError):  # it is not there, or a run that goes on has just replaced it
            seen.append(file.stat().st_mtime)
    return max(seen)


def _ago(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, round(seconds))} seconds"


def read_columns(path: Path) -> Columns:
    """Return a CSV file of numbers by column, None where a row has no value; empty if there is no such file.

    A row that is cut short, as the last one of a run that was killed may be, is left out.
    """
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return {}
    text = text[: text.rfind("\n") + 1]  # a number that is cut short still is a number
    try:
        names, *rows = csv.reader(io.StringIO(text.replace("\0", "?"), newline=""))
    except (csv.Error, ValueError):  # it is no table, or has no line
        return {}
    columns: Columns = {name: [] for name in names}
    if len(columns) != len(names):
        return {}
    for row in rows:
        try:
            values = [float(value) if value else None for value in row]
        except ValueError:
            continue
        if len(values) == len(names):
            for name, value in zip(names, values, strict=True):
                columns[name].append(value)
    return columns


def read_result(path: Path) -> dict[str, Any]:
    """Return what a `result.json` says; empty if there is none, it is damaged, or it is somebody else's."""
    try:
        found = json.loads(path.read_text())
        _RESULT.validate_python(found, strict=True)
    except (OSError, ValueError, RecursionError):
        return {}
    return found
