"""Runs, sweeps and measurements side by side: what differs in their configs, and what came out."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from ffcv_hydra.errors import ConfigError
from ffcv_hydra.redaction import redacted, redacted_text
from ffcv_hydra.run_folder import KILLED, RESULT, RUNNING, RunFolder, read_run
from ffcv_hydra.sizes import shown_size
from ffcv_hydra.sweeps.formats import duration, number
from ffcv_hydra.sweeps.groups import Group, groups_of, spread
from ffcv_hydra.sweeps.results import Results, collect

_MOST_VALUES = 4
"""Of a key that varies in a sweep, shown in one cell."""


@dataclass(frozen=True)
class Side:
    """One of those that are compared; values are texts, or numbers where a difference of two is of interest.

    Attributes:
        name: as the user calls it.
        kind: what it is and how it ended.
        config: by dotted key.
        result: by name.
        origin: what it was made with: versions, commit, machine.
    """

    name: str
    kind: str
    config: Mapping[str, str]
    result: Mapping[str, str | float]
    origin: Mapping[str, str]


def side_of(path: str) -> Side:
    """Read a run's folder or a sweep's; raises `ConfigError` for anything else, or what is damaged."""
    folder = Path(path).expanduser()
    if not (folder / RESULT).exists() and folder.is_dir():
        results = collect(folder.absolute())
        if results.rows:
            return _side_of_sweep(path, results)
        raise ConfigError(f"{path}: neither the folder of a run, nor of a sweep, nor a measurement of bench")
    return _side_of_run(path)


def _side_of_run(path: str) -> Side:
    run = read_run(path)
    result = run.result
    found: dict[str, str | float | None] = {
        **(result.get("metrics") or _last(run)),
        "images/s": result.get("samples_per_second"),
        "waiting for data": None if (share := result.get("waiting")) is None else f"{share:.0%}",
        "memory, at most": _size(result.get("memory"), "resident"),
        "GPU memory, at most": _size(result.get("memory"), "cuda"),
        "time": "" if run.status in (RUNNING, KILLED) else duration(result.get("seconds")),
    }
    if (optimized := run.config.get("optimized_metric")) and result.get("optimized_metric") is not None:
        found = {_of_best(optimized): result["optimized_metric"], **found}
    config = dict(flat(redacted(run.config), str(result.get("run_folder", run.path))))
    return Side(path, f"run, {redacted_text(run.ending)}", config, _there(found), _origin(result))


def _side_of_sweep(path: str, results: Results) -> Side:
    groups = groups_of(results)
    states = [row.state for row in results.rows]
    jobs = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    found: dict[str, str | float | None] = {}
    best: Group | None = groups[0] if groups else Group({}, (results.best,)) if results.best else None
    if best is not None:
        overrides = best.overrides if groups else {key: best.rows[0].overrides.get(key, "") for key in results.varying}
        found["best"] = " ".join(f"{key}={value}" for key, value in overrides.items())
        values = {_of_best(results.metric): best.optimized} if results.metric else {}
        values |= {name: best.metric(name) for name in best.rows[0].metrics}
        values |= {"images/s": best.samples_per_second}
        found |= {name: _one_or_spread(measured) for name, measured in values.items()}
    sides = [_side_of_run(str(row.path)) for row in sorted(results.rows, key=lambda row: row.job) if row.finished]
    config, origin = (_merged([getattr(side, part) for side in sides]) for part in ("config", "origin"))
    return Side(path, f"sweep, {jobs}", config, _there(found), origin)


def flat(node: Any, own_folder: str = "", key: str = "") -> Iterator[tuple[str, str]]:
    """The values of a config by dotted keys, as texts; a list of operations is one value.

    Args:
        node: of a config.
        own_folder: a path that stands for itself in every run and is shown as `RUN`.
        key: of the node.
    """
    if isinstance(node, Mapping) and node:
        for name, value in node.items():
            yield from flat(value, own_folder, f"{key}.{name}".lstrip("."))
    else:
        text = _text(node)
        yield key, text.replace(own_folder, "RUN") if own_folder else text


def _text(node: Any) -> str:
    if isinstance(node, Mapping) and "_target_" in node:
        arguments = ", ".join(f"{name}={_text(value)}" for name, value in node.items() if name != "_target_")
        return f"{str(node['_target_']).rpartition('.')[2]}({arguments})"
    if isinstance(node, list) and any(isinstance(item, Mapping) for item in node):
        return ", ".join(map(_text, node))
    return node if isinstance(node, str) else json.dumps(node, default=str)


def _last(run: RunFolder) -> dict[str, float | None]:
    """The last epoch and the last value of each metric, of a run that was killed or still runs."""
    return {name: value for name, (value, _) in run.last_metrics.items() if name != "samples_per_second"}


def _of_best(metric: str) -> str:
    return metric if metric == "samples_per_second" else f"{metric} of the best checkpoint"


def _merged(found: Sequence[Mapping[str, str]]) -> dict[str, str]:
    keys = dict.fromkeys(key for one in found for key in one)
    return {key: _values([one.get(key, "") for one in found]) for key in keys}


def _values(texts: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(texts))
    more = f" and {len(distinct) - _MOST_VALUES} more" if len(distinct) > _MOST_VALUES else ""
    return " | ".join(distinct[:_MOST_VALUES]) + more


def _one_or_spread(values: Sequence[float]) -> str | float | None:
    return spread(values) if len(values) > 1 else next(iter(values), None)


def _size(memory: Mapping[str, int] | None, kind: str) -> str | None:
    return shown_size(memory[kind]) if memory and memory.get(kind) else None


def _there(found: Mapping[str, str | float | None]) -> dict[str, str | float]:
    return {name: value for name, value in found.items() if value not in (None, "") and not name.startswith("lr-")}


def _origin(result: Mapping[str, Any]) -> dict[str, str]:
    commit = result.get("commit") or {}
    dirty = " and changes" if commit.get("dirty") else ""
    machine = result.get("machine") or {}
    found = {
        "commit": f"{commit['hash'][:12]}{dirty}" if "hash" in commit else "",
        **(result.get("versions") or {}),
        "host": result.get("host", ""),
        "processor": machine.get("processor", ""),
        "cores": machine.get("cores", ""),
        "GPUs": ", ".join(result.get("gpus") or []),
    }
    return {name: str(value) for name, value in found.items()}


def print_sides(sides: Sequence[Side], console: Console) -> None:
    """Print what differs in the configs, all results, and what differs in what they were made with."""
    letters = [chr(ord("A") + place) if len(sides) <= 26 else str(place) for place in range(len(sides))]
    for letter, side in zip(letters, sides, strict=True):
        console.print(f"{letter}: {side.name} ({side.kind})", soft_wrap=True)
    parts: list[tuple[str, Callable[[Side], Mapping[str, Any]], bool]] = [
        ("config", lambda side: side.config, True),
        ("result", lambda side: side.result, False),
        ("made with", lambda side: side.origin, True),
    ]
    for title, part, only_differences in parts:
        found = [part(side) for side in sides]
        keys = list(dict.fromkeys(key for one in found for key in one))
        if only_differences:
            keys = [key for key in keys if len({one.get(key) or "null" for one in found}) > 1]
        if keys:
            console.print(_table(title, letters, keys, found))
        elif title == "config":
            console.print("The configs are the same.")


def _table(title: str, letters: Sequence[str], keys: Sequence[str], found: Sequence[Mapping[str, Any]]) -> Table:
    with_difference = len(found) == 2 and any(_difference(key, found) for key in keys)
    table = Table(box=box.SIMPLE_HEAD)
    for name in (title, *letters, *(["B - A"] if with_difference else [])):
        table.add_column(name, overflow="fold")
    for key in keys:
        cells = [_cell(one.get(key)) for one in found]
        table.add_row(key, *cells, *([_difference(key, found)] if with_difference else []))
    return table


def _difference(key: str, found: Sequence[Mapping[str, Any]]) -> str:
    first, second = (one.get(key) for one in found)
    if not (isinstance(first, int | float) and isinstance(second, int | float)):
        return ""
    shown = number(second - first)
    return shown if shown.startswith("-") else f"+{shown}"


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, int | float) else value or ""
