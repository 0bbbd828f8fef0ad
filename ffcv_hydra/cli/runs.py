"""`python -m ffcv_hydra sweep`: what came out of runs."""

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
