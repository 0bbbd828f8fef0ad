"""`python -m ffcv_hydra report|sweep|compare`: what came out of runs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ffcv_hydra.cli.tool import Tool
from ffcv_hydra.errors import ConfigError

if TYPE_CHECKING:
    from ffcv_hydra.sweeps.comparison import Side


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="the sweep's folder")


def _sweep(chosen: argparse.Namespace) -> int:
    from ffcv_hydra.sweeps.summary import summarize

    summarize(chosen.path)
    return 0


def _add_compare(parser: argparse.ArgumentParser) -> None:
    what = "the folder of a run or of a sweep, or a file that bench --json wrote"
    parser.add_argument("paths", nargs="+", metavar="PATH", help=f"two or more, each {what}")


def _compare(chosen: argparse.Namespace) -> int:
    if len(chosen.paths) < 2:
        raise ConfigError("compare takes two paths or more")
    are_measured = [_is_measured(Path(path)) for path in chosen.paths]
    if are_measured == [True, True]:
        from ffcv_hydra.bench import Report, print_comparison

        first, second = (Report.load(Path(path)) for path in chosen.paths)
        print_comparison(first, second, names=tuple(chosen.paths))
        return 0
    from ffcv_hydra.sweeps.comparison import print_sides, side_of
    from ffcv_hydra.sweeps.summary import sweep_console

    sides = [
        _side_of_measured(path) if is_it else side_of(path)
        for path, is_it in zip(chosen.paths, are_measured, strict=True)
    ]
    print_sides(sides, sweep_console(width_of_files=100))
    return 0


def _is_measured(path: Path) -> bool:
    """Whether it is a measurement of bench, or the folder of a run that made one."""
    return path.is_file() or (path / "bench.json").is_file()


def _side_of_measured(path: str) -> "Side":
    from ffcv_hydra.bench import Report
    from ffcv_hydra.redaction import redacted
    from ffcv_hydra.sweeps.comparison import Side, flat

    report = Report.load(Path(path))
    facts = {section: dict(flat(redacted(found))) for section, found in report.facts.items()}
    origin = {**facts.pop("versions", {}), **facts.pop("machine", {}), **facts.pop("data", {})}
    result = {"images/s": report.whole.samples_per_second}
    return Side(path, f"bench, {report.title}", facts.get("settings", {}), result, origin)


SWEEP = Tool(
    "sweep",
    "the results of a sweep: tables, results.csv, results.json, results.png and curves.png",
    _add_sweep,
    _sweep,
    "Print the results of a sweep and write them to its folder; also of any folder of runs.",
)


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="RUN", help="the run's folder")


def _report(chosen: argparse.Namespace) -> int:
    from ffcv_hydra.report import write_report

    print(write_report(chosen.folder))
    return 0


REPORT = Tool(
    "report",
    "what is known of a run, as one page: report.html in its folder",
    _add_report,
    _report,
    "Write report.html into a run's folder anew, from what the run has left there.",
)
COMPARE = Tool(
    "compare",
    "show runs, sweeps, or what bench has measured, side by side",
    _add_compare,
    _compare,
    "Show side by side what differs in the configs of runs and sweeps, and in what came out; of two measurements of"
    " bench, what differs by more than their noise.",
)
