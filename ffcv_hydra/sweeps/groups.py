"""Jobs of a sweep that differ in nothing but a seed or a fold, as one result: mean and standard deviation."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from ffcv_hydra.sweeps.formats import number
from ffcv_hydra.sweeps.results import Results, Row, print_fitting, shown_metrics

_REPEATED = ("seed", "fold")
"""What the keys end in by which a job is repeated: `seed`, `dataset.fold`."""


@dataclass(frozen=True)
class Group:
    """Jobs that are repetitions of one another; `overrides` by key, but for those by which they are repeated."""

    overrides: dict[str, str]
    rows: tuple[Row, ...]

    @property
    def completed(self) -> list[Row]:
        return [row for row in self.rows if row.state == "completed"]

    @property
    def optimized(self) -> list[float]:
        """The values of the optimized metric."""
        return _values(row.optimized_metric for row in self.completed)

    def metric(self, name: str) -> list[float]:
        """The values of a metric."""
        return _values(row.metrics.get(name) for row in self.completed)

    @property
    def samples_per_second(self) -> list[float]:
        return _values(row.samples_per_second for row in self.completed)


def is_repeated(key: str) -> bool:
    """Whether jobs that differ in this key are repetitions of one another."""
    return key.rpartition(".")[2] in _REPEATED


def groups_of(results: Results) -> list[Group]:
    """The groups of a sweep, the best first, by the mean of the optimized metric; none where no job was repeated."""
    keys = results.varying
    if not any(is_repeated(key) for key in keys):
        return []
    by_overrides: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for row in sorted(results.rows, key=lambda row: row.job):
        of_group = tuple((key, row.overrides.get(key, "")) for key in keys if not is_repeated(key))
        by_overrides.setdefault(of_group, []).append(row)
    if max(map(len, by_overrides.values())) < 2:
        return []
    groups = [Group(dict(overrides), tuple(rows)) for overrides, rows in by_overrides.items()]
    sign = -1 if results.mode == "max" else 1
    return sorted(
        groups, key=lambda group: sign * statistics.mean(group.optimized) if group.optimized else float("inf")
    )


def averaged(results: Results, groups: Sequence[Group]) -> Results:
    """The results with one row per group, of its means; jobs that did not complete count for nothing."""

    def mean(values: Sequence[float]) -> float | None:
        return statistics.mean(values) if values else None

    rows = [
        replace(
            group.completed[0],
            overrides=group.overrides,
            optimized_metric=mean(group.optimized),
            samples_per_second=mean(group.samples_per_second),
        )
        for group in groups
        if group.completed
    ]
    return replace(results, rows=rows)


def spread(values: Sequence[float]) -> str:
    """`0.9831 ± 0.0042`: mean and standard deviation, of a sample (n - 1); the value alone of one."""
    if not values:
        return ""
    mean = number(statistics.mean(values))
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.2g}"


def described(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """The groups as plain values, for a file."""
    return [
        {
            "overrides": group.overrides,
            "jobs": [row.job for row in group.rows],
            "completed": len(group.completed),
            "optimized_metric": _described(group.optimized),
            "metrics": {name: _described(group.metric(name)) for name in _names(group)},
            "samples_per_second": _described(group.samples_per_second),
        }
        for group in groups
    ]


def print_groups(groups: Sequence[Group], results: Results, console: Console) -> None:
    """Print one row per group, with as many metrics as there is room for, and which group is the best."""
    what = _what(results)
    names = [name for group in groups for row in group.rows for name in shown_metrics(row, results.metric)]
    keys = [key for key in results.by_variation if not is_repeated(key)]
    print_fitting(
        console, list(dict.fromkeys(names)), keys, lambda shown, keys: _table(groups, results, shown, keys, what)
    )
    best = groups[0]
    if best.optimized:
        chosen = " ".join(f"{key}={value}" for key, value in best.overrides.items())
        value, count = spread(best.optimized), f"{len(best.optimized)} {what}"
        value = f"{value} images/s" if results.metric == "samples_per_second" else f"{results.metric} {value}"
        line = f"best on average: {chosen} ({value}, {count})" if chosen else f"{value} over {count}"
        console.print(line, soft_wrap=True)


def _table(groups: Sequence[Group], results: Results, names: Sequence[str], chosen: Sequence[str], what: str) -> Table:
    table = Table()
    keys = [key for key in groups[0].overrides if key in chosen]
    for title in (*keys, what, *names, "images/s"):
        table.add_column(title, overflow="fold")
    for group in groups:
        count = f"{len(group.completed)}" + (f" of {len(group.rows)}" if len(group.completed) < len(group.rows) else "")
        metrics = [spread(group.optimized if name == results.metric else group.metric(name)) for name in names]
        table.add_row(*(group.overrides[key] for key in keys), count, *metrics, spread(group.samples_per_second))
    return table


def _what(results: Results) -> str:
    """What the repetitions are called: `seeds`, `folds`, or, where both vary, `jobs`."""
    ends = {key.rpartition(".")[2] for key in results.varying if is_repeated(key)}
    return f"{ends.pop()}s" if len(ends) == 1 else "jobs"


def _names(group: Group) -> list[str]:
    return list(dict.fromkeys(name for row in group.rows for name in row.metrics))


def _values(found: Any) -> list[float]:
    return [value for value in found if value is not None]


def _described(values: Sequence[float]) -> Mapping[str, float | int] | None:
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "std": std, "count": len(values)}  # type: ignore[dict-item]
