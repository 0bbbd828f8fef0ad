"""What a run prints at its end."""

from pathlib import Path
from typing import Any

from rich.table import Table

from ffcv_hydra.terminal import TerminalConsole, print_whole


def print_results(result: dict[str, Any], run_dir: Path) -> None:
    """Print a table of the metrics, the training speed and the best checkpoint, and where the run's folder is."""
    console = TerminalConsole()
    table = Table("result", "value", title=f"{result['mode']} {result['status']}", title_justify="left")
    for name, value in result["metrics"].items():
        if not name.startswith("lr-"):
            table.add_row(name, f"{value:.4f}")
    if result["samples_per_second"] is not None:
        table.add_row("training images/s", f"{result['samples_per_second']:,.0f}")
    for stage, failed in (result.get("failed_samples") or {}).items():
        table.add_row(f"damaged samples in {stage}", f"{failed['count']:,}")
    if table.row_count:
        print_whole(console, table)
    else:
        console.print(table.title)
    # Paths are not wrapped: they are there to be copied.
    for name in ("best_checkpoint", "predictions"):
        if result.get(name):
            console.print(f"{name.replace('_', ' ')}: {result[name]}", soft_wrap=True)
    console.print(f"run folder: {run_dir}", soft_wrap=True)
