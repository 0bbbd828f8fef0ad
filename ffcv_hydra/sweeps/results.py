"""What became of the jobs of a sweep: rows of a table, as files and on the console."""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ffcv_hydra.atomic_file import write_whole
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.locks import lock
from ffcv_hydra.redaction import redacted_text, redacted_words
from ffcv_hydra.run_folder import CONFIG, FINISHED, KILLED, RESULT, how_it_ended, last_metrics, read_config
from ffcv_hydra.sweeps.formats import duration, number
from ffcv_hydra.sweeps.job import LOG, RECORD, optimized_name, optimized_value, read_json
from ffcv_hydra.terminal import print_whole

_MOST_METRICS = 4
"""Shown on the console; files have all."""

_WIDEST = 40
"""Columns of the console that a value of a key takes; the rest of it stands below."""


@dataclass(frozen=True)
class Row:
    """One job: `overrides` by key, the value of the optimized metric, `metrics` by name, `seconds` it took."""

    job: int
    overrides: dict[str, str]
    state: str
    optimized_metric: float | None
    metrics: dict[str, float | None]
    samples_per_second: float | None
    seconds: float | None
    path: Path
    error: str | None

    @property
    def finished(self) -> bool:
        return self.state in FINISHED


@dataclass(frozen=True)
class Results:
    """A sweep's jobs, the best one first.

    Args:
        rows: by the optimized metric; jobs without a value of it come last, by number.
        metric: its name; None if runs have none.
        mode: "min" or "max".
        left_out: folders whose files are cut short, or somebody else's.
    """

    rows: list[Row]
    metric: str | None
    mode: str
    left_out: list[Path]

    @property
    def varying(self) -> list[str]:
        """Keys of the overrides in which jobs differ; all keys where there is one job."""
        keys = list(dict.fromkeys(key for row in self.rows for key in row.overrides))
        if len(self.rows) == 1:
            return keys
        return [key for key in keys if len({row.overrides.get(key) for row in self.rows}) > 1]

    @property
    def by_variation(self) -> list[str]:
        """The same, those with most values first."""
        return sorted(self.varying, key=lambda key: -len({row.overrides.get(key) for row in self.rows}))

    @property
    def best(self) -> Row | None:
        """The finished job with the best value, None if there is none with a value."""
        return next((row for row in self.rows if row.state == "completed" and row.optimized_metric is not None), None)


def collect(sweep_dir: Path) -> Results:
    """Read the results of all jobs under `sweep_dir`, runs without a sweep's record included.

    A job that was not finished and whose number now has another config, in a folder of its own, is left out.
    """
    rows, metric, mode, left_out = [], None, "min", []
    folders = {path.parent for name in (RECORD, RESULT) for path in sweep_dir.rglob(name)}
    for index, folder in enumerate(sorted(folders, key=_natural)):
        record, result = read_json(folder / RECORD), read_json(folder / RESULT)
        if not record and not result:
            left_out.append(folder)
            continue
        config = record.get("config") or _saved_config(folder)
        metric = metric or optimized_name(config)
        mode = "max" if config.get("optimized_mode", mode) == "max" else "min"
        rows.append(_row(index, folder, record, result, metric))
    rows = [row for row in rows if row.finished or row.state == "running" or not _is_replaced(row, rows)]
    rows.sort(key=lambda row: _rank(row, mode))
    return Results(rows, metric, mode, left_out)


def _is_replaced(row: Row, rows: Sequence[Row]) -> bool:
    """Whether there is a later job of the same number in the same sweep."""
    later = (other.path for other in rows if other.job == row.job and other.path.parent == row.path.parent)
    return any(_begun_at(path) > _begun_at(row.path) for path in later)


def _begun_at(folder: Path) -> float:
    """When a job's record was written last; a run without one is never too old."""
    try:
        return (folder / RECORD).stat().st_mtime
    except OSError:
        return math.inf


def _natural(path: Path) -> tuple[Any, ...]:
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in path.parts)


def _saved_config(folder: Path) -> dict[str, Any]:
    """The config of a run that no sweep has recorded."""
    try:
        return read_config(folder / CONFIG)
    except ConfigError:
        return {}


def _row(index: int, folder: Path, record: Mapping[str, Any], result: Mapping[str, Any], metric: str | None) -> Row:
    status, state = result.get("status"), record.get("state")
    state = status if status in FINISHED or state is None else state
    if state == "running" and not record:
        state, _ = how_it_ended(folder, result)
    elif state == "running" and not _is_locked(folder / LOG):
        state = KILLED  # by what left it no time to say so
    metrics = dict(result.get("metrics") or {}) or {name: value for name, (value, _) in last_metrics(folder).items()}
    speed = metrics.pop("samples_per_second", None)  # of a run that has recorded none of this
    return Row(
        job=record.get("job", index),
        overrides=_by_key(record.get("overrides", result.get("overrides") or [])),
        state=state or "unknown",
        optimized_metric=optimized_value(metric, result, {"metrics": metrics}),
        metrics={name: value for name, value in metrics.items() if not name.startswith("lr-") and name != "epoch"},
        samples_per_second=result.get("samples_per_second") or speed,
        seconds=record.get("seconds"),
        path=folder,
        error=None if state in FINISHED else _error(record, result),
    )


def _error(record: Mapping[str, Any], result: Mapping[str, Any]) -> str | None:
    error = record.get("error") or result.get("error")
    return None if error is None else redacted_text(error)


def _is_locked(log: Path) -> bool:
    """Whether processes of the job are at work: they lock its log."""
    try:
        with open(log, "rb") as file:
            return not lock(file, shared=True)
    except OSError:
        return True


def _by_key(overrides: Sequence[str]) -> dict[str, str]:
    pairs = (override.lstrip("+~").partition("=") for override in redacted_words(overrides))
    return {key: value for key, _, value in pairs}


def _rank(row: Row, mode: str) -> tuple[bool, float, int]:
    if row.optimized_metric is None or math.isnan(row.optimized_metric) or not row.finished:
        return True, 0.0, row.job
    return False, -row.optimized_metric if mode == "max" else row.optimized_metric, row.job


def write_files(results: Results, sweep_dir: Path, groups: Sequence[Mapping[str, Any]] = ()) -> None:
    """Write `results.csv` (a column per override and metric) and `results.json`, which has the groups of jobs, too."""
    keys = list(dict.fromkeys(key for row in results.rows for key in row.overrides))
    names = list(dict.fromkeys(name for row in results.rows for name in row.metrics))
    jobs = [{**asdict(row), "path": _relative(row.path, sweep_dir)} for row in results.rows]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["job", *keys, "state", "optimized_metric", *names, "samples_per_second", "seconds", "path"])
    for row, job in zip(results.rows, jobs, strict=True):
        swept, metrics = [row.overrides.get(key, "") for key in keys], [row.metrics.get(name) for name in names]
        facts = [row.samples_per_second, row.seconds, job["path"]]
        writer.writerow([row.job, *swept, row.state, row.optimized_metric, *metrics, *facts])
    write_whole(sweep_dir / "results.csv", text.getvalue())
    described = {"metric": results.metric, "mode": results.mode, "jobs": jobs, "groups": groups}
    write_whole(sweep_dir / "results.json", json.dumps(described, indent=2) + "\n")


def print_table(results: Results, sweep_dir: Path, console: Console) -> None:
    """Print one row per job.

    The metric that is sorted by comes first, with the value that is sorted by: the best checkpoint's where a checkpoint
    is chosen by it. The others are those of the last epoch, as many as there is room for.
    """
    metrics = [shown_metrics(row, results.metric) for row in results.rows]
    names = list(dict.fromkeys(name for found in metrics for name in found))
    keys = results.by_variation
    print_fitting(console, names, keys, lambda shown, keys: _table(results, metrics, shown, keys, sweep_dir))


def print_fitting(
    console: Console,
    names: Sequence[str],
    keys: Sequence[str],
    table_of: Callable[[Sequence[str], Sequence[str]], Table],
) -> None:
    """Print a table with as many as there is room for of the metrics and of the keys, one of each at least.

    Metrics are left out first; of both, the last ones are.
    """
    shown, room = list(names[:_MOST_METRICS]), list(keys)
    wide = console.options.update(width=10_000)  # measured by itself, not as it would be squeezed
    while console.measure(table_of(shown, room), options=wide).maximum > console.width:
        longer = shown if len(shown) > 1 else room
        if len(longer) < 2:
            break
        longer.pop()
    print_whole(console, table_of(shown, room))
    if left := keys[len(room) :]:
        console.print(f"no room for {', '.join(left)}: results.csv has all", soft_wrap=True)


def print_best(results: Results, console: Console) -> None:
    """Print the overrides of the best job, if there is one."""
    if results.best is not None:
        keys = [key for key in results.varying if key in results.best.overrides]
        chosen = " ".join(f"{key}={results.best.overrides[key]}" for key in keys)
        value = number(results.best.optimized_metric)
        what = f"{value} images/s" if results.metric == "samples_per_second" else f"{results.metric} {value}"
        line = f"best: {chosen or f'job {results.best.job}'} ({what})"
        console.print(line, soft_wrap=True)


def _table(
    results: Results,
    metrics: Sequence[Mapping[str, float | None]],
    names: Sequence[str],
    chosen: Sequence[str],
    sweep_dir: Path,
) -> Table:
    """One row per job; `metrics` has those of each, `names` are the ones that are shown, `chosen` the keys."""
    keys = [key for key in results.varying if key in chosen]
    state = ["state"] if any(row.state != "completed" for row in results.rows) else []
    table = Table()
    for title in ("job", *keys, *state, *names, "images/s", "time", "path"):
        table.add_column(title, overflow="fold", max_width=_WIDEST if title in keys else None)
    for row, found in zip(results.rows, metrics, strict=True):
        cells = [str(row.job), *(row.overrides.get(key, "") for key in keys), *([row.state] if state else [])]
        cells += [number(found.get(name)) for name in names]
        cells += [number(row.samples_per_second), duration(row.seconds), _relative(row.path, sweep_dir)]
        table.add_row(*cells)
    return table


def shown_metrics(row: Row, optimized: str | None) -> dict[str, float | None]:
    """The metrics of a row as the console shows them; images/s has a column of its own."""
    if row.optimized_metric is None or optimized in (None, "samples_per_second"):
        return row.metrics
    first = {str(optimized): row.optimized_metric}
    return first | row.metrics | first


def _relative(path: Path, sweep_dir: Path) -> str:
    return str(path.relative_to(sweep_dir))
