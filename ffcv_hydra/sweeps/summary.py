"""The end of a sweep: its table, files and plot. Also for a sweep that ended long ago."""

import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from ffcv_hydra.errors import SweepError
from ffcv_hydra.sweeps.curves import plot_curves
from ffcv_hydra.sweeps.groups import described, groups_of, print_groups
from ffcv_hydra.sweeps.job import RECORD
from ffcv_hydra.sweeps.plot import plot
from ffcv_hydra.sweeps.results import Results, collect, print_best, print_table, write_files
from ffcv_hydra.terminal import TerminalConsole

_WIDTH = 200
"""Columns of a table where there is no terminal: lines of a file are not wrapped."""


@contextmanager
def summarized(sweep_dir: Path) -> Iterator[None]:
    """Print the results of a sweep, as `summarize` does, at the end of a block; if an error ends it, also how to go on.

    Without jobs there is nothing to print.
    """
    try:
        yield
    except BaseException:
        if any(sweep_dir.rglob(RECORD)):
            summarize(sweep_dir)
            sweep_console().print(
                f"the same command with hydra.sweep.dir={sweep_dir} runs what is missing",
                soft_wrap=True,
            )
        raise
    summarize(sweep_dir)


def summarize(sweep_dir: str | Path) -> Results:
    """Print the table of a sweep's jobs, and of what was repeated; write both, and pictures, into its folder.

    The files are `results.csv`, `results.json`, `results.png` and `curves.png`.

    Raises:
        SweepError: there are no jobs in that folder, or it cannot be written to.
    """
    folder = Path(sweep_dir).absolute()
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "there is no such folder"
        raise SweepError(f"{sweep_dir}: {what}; give a sweep's folder")
    results = collect(folder)
    if not results.rows:
        others = f" ({results.left_out[0]} holds something else)" if results.left_out else ""
        raise SweepError(f"{sweep_dir}: no job.json or result.json of a run below it{others}; give a sweep's folder")
    console = sweep_console()
    groups = groups_of(results)
    print_table(results, folder, console)
    if groups:
        print_groups(groups, results, console)
    else:
        print_best(results, console)
    for other in results.left_out:
        console.print(f"left out, because its files are cut short or of something else: {other}", soft_wrap=True)
    try:
        write_files(results, folder, described(groups))
        pictures = {"results.png": plot(results, folder / "results.png")}
        pictures["curves.png"] = plot_curves(results, folder / "curves.png")
    except OSError as error:
        raise SweepError(f"cannot write the sweep's results to {folder}: {error.strerror}") from error
    names = ", ".join(["results.csv", "results.json", *(name for name, is_drawn in pictures.items() if is_drawn)])
    console.print(f"sweep folder: {folder} ({names})", soft_wrap=True)
    if any(any(row.path.glob("tensorboard/events.out.*")) for row in results.rows):
        console.print(
            f"all jobs in TensorBoard: {shlex.join(['tensorboard', '--logdir', str(folder)])}", soft_wrap=True
        )
    return results


def sweep_console(width_of_files: int = _WIDTH) -> Console:
    """Return the console that a sweep writes to: standard output, with so many columns where it is no terminal."""
    width = None if sys.stdout.isatty() else max(width_of_files, shutil.get_terminal_size().columns)
    return TerminalConsole(width=width)
