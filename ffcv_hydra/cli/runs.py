"""`python -m ffcv_hydra sweep|report`: what came out of runs."""

import argparse

from ffcv_hydra.cli.tool import Tool


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="the sweep's folder")


def _sweep(chosen: argparse.Namespace) -> int:
    from ffcv_hydra.sweeps.summary import summarize

    summarize(chosen.path)
    return 0


SWEEP = Tool(
    "sweep",
    "the results of a sweep: a table, results.csv, results.json and results.png",
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
