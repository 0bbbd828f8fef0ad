"""`python -m ffcv_hydra COMMAND`: the commands in groups, by what one is at."""

import argparse
import sys
from collections.abc import Mapping, Sequence

from ffcv_hydra.cli.betons import INFO, MERGE, SUBSET, UNPACK, VERIFY
from ffcv_hydra.cli.ffcv_programs import RUN_FFCV
from ffcv_hydra.cli.loading import BENCH, EXPLAIN, PREVIEW
from ffcv_hydra.cli.new_project import NEW
from ffcv_hydra.cli.remote import FETCH, UPLOAD
from ffcv_hydra.cli.runs import COMPARE, REPORT, SWEEP
from ffcv_hydra.cli.tool import Tool
from ffcv_hydra.cli.unread import may_be_unread
from ffcv_hydra.errors import FFCVHydraError
from ffcv_hydra.nearest import hint
from ffcv_hydra.printable import printable

GROUPS: Mapping[str, Sequence[Tool]] = {
    "betons": (INFO, VERIFY, MERGE, SUBSET, UNPACK, FETCH, UPLOAD),
    "loading": (PREVIEW, EXPLAIN, BENCH),
    "runs": (REPORT, SWEEP, COMPARE),
    "projects": (NEW,),
    "programs": (RUN_FFCV,),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the command line names; returns the exit status.

    0: all is well; 1: the file has findings or cannot be opened; 2 (by argparse): bad usage.
    """
    parser = command_parser()
    name = next(iter(sys.argv[1:] if arguments is None else arguments), "-")
    names = [tool.name for tools in GROUPS.values() for tool in tools]
    if name not in names and not name.startswith("-"):
        parser.error(f"there is no command {name}: {hint(name, names)}")
    chosen, rest = parser.parse_known_args(arguments)
    if rest and ("overrides" not in chosen or any(text.startswith("-") for text in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:  # overrides that stand after an option
        chosen.overrides += rest
    try:
        with may_be_unread():
            return chosen.run(chosen)
    except FFCVHydraError as error:
        print(printable(str(error)), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def command_parser() -> argparse.ArgumentParser:
    """Of all commands, with their help."""
    parser = argparse.ArgumentParser(
        "python -m ffcv_hydra",
        usage="python -m ffcv_hydra [-h] COMMAND ...",
        description="Tools for betons, for what is loaded from them, and for runs.\n\n" + _listed(),
        epilog="python -m ffcv_hydra COMMAND --help says more. Runs are started by run.py, conversions by convert.py.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, help=argparse.SUPPRESS)
    for tool in (tool for tools in GROUPS.values() for tool in tools):
        described = tool.description or f"{tool.help}.".capitalize()
        of_tool = commands.add_parser(tool.name, prog=f"python -m ffcv_hydra {tool.name}", description=described)
        tool.add_arguments(of_tool)
        of_tool.set_defaults(run=tool.run)
    return parser


def _listed() -> str:
    lines = []
    for group, tools in GROUPS.items():
        lines += [f"{group}:", *(f"  {tool.name:<10}{tool.help}" for tool in tools), ""]
    return "\n".join(lines[:-1])
