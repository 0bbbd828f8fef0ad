"""The command line that the benchmarks share."""

import argparse
from collections.abc import Sequence
from typing import Any


def parse(doc: str | None, contenders: Sequence[str], defaults: dict[str, Any]) -> argparse.Namespace:
    """Read the command line.

    Args:
        doc: the script's docstring.
        contenders: all there are; `--contenders` takes some of them.
        defaults: of the options that the script has: `photos`, `seconds`, `repeats`, `before`,
            `cases` (a list of all there are).
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contenders", nargs="+", choices=contenders, default=list(contenders), metavar="NAME")
    helps = {
        "photos": "how many images",
        "seconds": "least time of one measurement, in whole epochs",
        "repeats": "how many measurements of each",
        "before": "another checkout of this repository to compare with",
        "cases": "which of them",
    }
    for name, default in defaults.items():
        several: dict[str, Any] = {"type": type(default)}
        shown = default or "none"
        if isinstance(default, list):
            several, shown = {"nargs": "+", "choices": default, "metavar": "CASE"}, " ".join(default)
        parser.add_argument(f"--{name}", default=default, help=f"{helps[name]} ({shown})", **several)
    return parser.parse_args()
