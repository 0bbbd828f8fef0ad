"""What a run prints at its end."""

import io
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ffcv_hydra.report.report import FILE as REPORT
from ffcv_hydra.sizes import shown_size
from ffcv_hydra.terminal import TerminalConsole, print_whole
from ffcv_hydra.training.run_log import note

_CLASSES_SHOWN = 20
"""Metrics of more classes than that are in `result.json` alone."""

_MUCH_WAITING = 0.2
"""The share of a training's time that it is worth to look at why it waits for data."""


def print_results(result: dict[str, Any], run_dir: Path) -> None:
    """Print a table of the metrics, the training's speed and memory, and where the best checkpoint and the folder are.

    The run's log has it, too.
    """
    text = io.StringIO()
    for console in (TerminalConsole(), TerminalConsole(file=text, width=100)):
        _print(result, run_dir, console)
    note("\n" + text.getvalue().rstrip())


def _print(result: dict[str, Any], run_dir: Path, console: Console) -> None:
    table = Table("result", "value", title=f"{result['mode']} {result['status']}", title_justify="left")
    of_classes = Counter(name.rpartition("/")[0] for name in result["metrics"])
    for name, value in result["metrics"].items():
        metric = name.rpartition("/")[0]
        if not name.startswith("lr-") and (not metric or of_classes[metric] <= _CLASSES_SHOWN):
            table.add_row(name, f"{value:.4f}")
    waiting = result.get("waiting")
    if result["samples_per_second"] is not None:
        table.add_row("training images/s", f"{result['samples_per_second']:,.0f}")
        if waiting is not None:
            table.add_row("waiting for data", f"{waiting:.0%}")
        for kind, name in (("resident", "memory, at most"), ("cuda", "GPU memory, at most")):
            if num_bytes := result.get("memory", {}).get(kind):
                table.add_row(name, shown_size(num_bytes))
    for stage, failed in (result.get("failed_samples") or {}).items():
        table.add_row(f"damaged samples in {stage}", f"{failed['count']:,}")
    if table.row_count:
        print_whole(console, table)
    else:
        console.print(table.title)
    # Lines to copy from are not wrapped.
    if waiting is not None and waiting >= _MUCH_WAITING:
        command = shlex.join(["python", "-m", "ffcv_hydra", "bench", *result.get("overrides", [])])
        console.print(f"{waiting:.0%} of the training's time was waiting for data; what limits it:", soft_wrap=True)
        console.print(f"    {command}", soft_wrap=True)
    for name in ("best_checkpoint", "predictions"):
        if result.get(name):
            console.print(f"{name.replace('_', ' ')}: {result[name]}", soft_wrap=True)
    if result.get("predictions") and (as_csv := Path(result["predictions"]).with_suffix(".csv")).is_file():
        console.print(f"predictions as a table: {as_csv}", soft_wrap=True)
    if (run_dir / REPORT).is_file():
        console.print(f"report: {run_dir / REPORT}", soft_wrap=True)
    console.print(f"run folder: {run_dir}", soft_wrap=True)
