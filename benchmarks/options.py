"""The command line that the benchmarks share."""

import argparse
from collections.abc import Sequence
from typing import Any


def parse(doc: str | None, contenders: Sequence[str], defaults: dict[str, Any]) -> argparse.Namespace:
    """Read the command line.

    Args:
        doc: the script's docstring.
        contenders: all there are; `--contenders` takes some of them.
        defaults: of the options that the script has: `photos`, `seconds`, `repeats`, `before`.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contenders", nargs="+", choices=contenders, default=list(contenders), metavar="NAME")
    helps = {
        "photos": "how many images",
        "seconds": "least time of one measurement, in whole epochs",
        "repeats": "how many measurements of each",
        "before": "another checkout of this repository to compare with",
    }
    for name, default in defaults.items():
        shown = f"{helps[name]} ({default or 'none'})"
        parser.add_argument(f"--{name}", type=type(default), default=default, help=shown)
    return parser.parse_args()
