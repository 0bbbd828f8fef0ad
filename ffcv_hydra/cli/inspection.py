"""`python -m ffcv_hydra COMMAND`: betons, what runs make of them, how sweeps end. Some commands are in `remote`.

A subcommand is a parser here and a function; what is heavy is imported when the function runs.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ffcv_hydra.cli.remote import add_fetch, add_upload
from ffcv_hydra.cli.unread import may_be_unread
from ffcv_hydra.errors import BetonError, FFCVHydraError
from ffcv_hydra.printable import printable
from ffcv_hydra.stages import STAGES
from ffcv_hydra.urls import is_url, shown

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ffcv_hydra.beton.reading.verification import Verification

MOST_SHOWN = 20  # samples that differ from the source, a line each


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the command line names; returns the exit status.

    0: all is well; 1: the file has findings or cannot be opened; 2 (by argparse): bad usage.
    """
    parser = argparse.ArgumentParser("python -m ffcv_hydra", description="Tools for betons and sweeps.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_info(commands)
    _add_verify(commands)
    _add_merge(commands)
    add_fetch(commands)
    add_upload(commands)
    _add_preview(commands)
    _add_explain(commands)
    _add_bench(commands)
    _add_sweep(commands)
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


def _path_here(path: str) -> str:
    """The path of a beton on this machine."""
    if is_url(path):
        raise argparse.ArgumentTypeError(
            f"{shown(path)} is a URL; python -m ffcv_hydra fetch URL says where it is here"
        )
    return path


def _add_info(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("info", help="fields, sizes, histograms, and what a file was made from")
    parser.add_argument("file", type=_path_here, metavar="PATH", help="a beton, or a folder of shards")
    parser.set_defaults(run=_info)


def _add_verify(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "verify",
        help="check a file: structure, allocations, checksums, JPEGs",
        description="Check a beton, or a folder of shards. One line per finding; the exit status is 0 only if there is "
        "none.",
    )
    parser.add_argument("file", type=_path_here, metavar="PATH", help="a beton, or a folder of shards")
    parser.add_argument("--decode", action="store_true", help="decode every image, too; a warning is a finding")
    parser.add_argument(
        "--source", action="store_true", help="compare every sample with what the dataset gives that it was made from"
    )
    parser.add_argument(
        "--data-dir", metavar="PATH", help="data_dir of the conversion, for --source (default: the file's folder)"
    )
    parser.add_argument(
        "--workers", type=_workers, default=-1, metavar="N", help="threads; -1, the default, is one per usable core"
    )
    parser.set_defaults(run=_verify)


def _add_merge(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "merge",
        help="read betons as one: an index that refers to them where they are",
        description="Write a folder with an index that refers to betons, in this order. Nothing is copied; what is "
        "below the folder that the output is in may be moved together with it.",
    )
    parser.add_argument("files", type=_path_here, nargs="+", metavar="PATH", help="a beton, or a folder of shards")
    parser.add_argument("--output", required=True, metavar="PATH", help="the new folder")
    parser.set_defaults(run=_merge)


def _add_preview(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "preview",
        help="draw what a pipeline makes of a dataset's samples",
        description="Draw a contact sheet of samples as they are stored and as a run would read them.",
    )
    _add_composition(parser)
    parser.add_argument("--output", default="preview.png", metavar="PNG", help="where to (default: preview.png)")
    for name, least, default, what in (
        ("samples", 1, 8, "how many samples"),
        ("epoch", 0, 0, "the first epoch"),
        ("epochs", 1, 4, "how many epochs"),
    ):
        number = _number(least)
        parser.add_argument(f"--{name}", type=number, default=default, metavar="N", help=f"{what} (default: {default})")
    parser.set_defaults(run=_preview)


def _add_explain(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "explain",
        help="say what a run's loaders do to every batch",
        description="Say per stage and output what runs in which order, what was fused, and what it takes; some "
        "batches are read, nothing is trained.",
    )
    _add_composition(parser, "all that the dataset has")
    parser.set_defaults(run=_explain, stage=None)


def _add_bench(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "bench",
        help="measure how fast a run's loader is, and where its time goes",
        description="Read a stage's batches as fast as they come, and say what a trainer would be limited by.",
    )
    _add_composition(parser)
    parser.add_argument(
        "--seconds", type=_seconds, default=10.0, metavar="S", help="how long to measure (default: 10 seconds)"
    )
    parser.set_defaults(run=_bench)


def _add_composition(parser: argparse.ArgumentParser, default_stage: str = "train") -> None:
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="groups and keys of run.py")
    for short, name, what in (
        ("-cd", "--config-dir", "a folder of configs of your own, beside the shipped ones"),
        ("-cn", "--config-name", "the config that is composed in the place of run"),
        ("-cp", "--config-path", "the folder that it is in"),
    ):
        parser.add_argument(short, name, metavar="NAME" if short == "-cn" else "PATH", help=f"as for run.py: {what}")
    parser.add_argument("--stage", choices=STAGES, default="train", help=f"default: {default_stage}")


def _hydra_arguments(chosen: argparse.Namespace) -> list[str]:
    """What Hydra is given: no such command has a run folder."""
    options = ("config_dir", "config_name", "config_path")
    flags = [f"--{name.replace('_', '-')}={value}" for name in options if (value := getattr(chosen, name)) is not None]
    return [*flags, "hydra.run.dir=.", *chosen.overrides]


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _number(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} on")
        return int(text)

    return number


def _add_sweep(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "sweep",
        help="the results of a sweep: a table, results.csv, results.json and results.png",
        description="Print the results of a sweep and write them to its folder; also of any folder of runs.",
    )
    parser.add_argument("path", metavar="PATH", help="the sweep's folder")
    parser.set_defaults(run=_sweep)


def _workers(text: str) -> int:
    if text != "-1" and not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is neither -1 nor a number from 1 on")
    return int(text)


def _info(chosen: argparse.Namespace) -> int:
    from ffcv_hydra.beton.inspection.information import print_information
    from ffcv_hydra.collection.shards import opened

    print_information(opened(chosen.file))
    return 0


def _verify(chosen: argparse.Namespace) -> int:
    from ffcv_hydra.collection.verification import verify

    with _progress_bar() as advance:
        found = verify(chosen.file, decode=chosen.decode, num_workers=chosen.workers, progress=advance)
    for finding in found.findings:
        print(printable(finding))
    if chosen.source and found.num_samples:
        found.findings.extend(_compare_with_source(chosen))
    print(printable(_summary(found)))
    return 1 if found.findings else 0


def _merge(chosen: argparse.Namespace) -> int:
    from rich.filesize import decimal

    from ffcv_hydra.collection.merging import merge

    index = merge(chosen.files, chosen.output)
    counted = f"{index.num_samples:,} samples in {len(index.shards):,} shards, {decimal(index.num_bytes)}"
    print(printable(f"{chosen.output}: {counted}"))
    return 0


def _compare_with_source(chosen: argparse.Namespace) -> Iterator[str]:
    """Print and give what differs; of samples that differ, no more than so many are printed."""
    from ffcv_hydra.beton.appendix import MANIFEST_VERSION
    from ffcv_hydra.beton.inspection.source_comparison import compare_with_source
    from ffcv_hydra.building.conversion_config import build_described
    from ffcv_hydra.collection.shards import opened

    beton = opened(chosen.file)
    if beton.description is None or not beton.description.get("source"):
        raise BetonError(f"{chosen.file}: does not say what it was made from; --source has nothing to compare it with")
    if beton.version is None or beton.version < MANIFEST_VERSION:
        raise BetonError(f"{chosen.file}: made by an earlier version, without what --source needs; convert it again")
    data_dir = Path(chosen.data_dir or beton.path.parent).absolute()
    dataset, fields = build_described(beton.description, data_dir)
    count = 0
    with _progress_bar() as advance:
        for count, finding in enumerate(compare_with_source(beton, dataset, fields, chosen.workers, advance), 1):
            if count <= MOST_SHOWN:
                print(printable(f"{chosen.file}: {finding}"))
            yield finding
    if not count:
        print(printable(f"{chosen.file}: holds what its source gives"))
    if count > MOST_SHOWN:
        print(printable(f"{chosen.file}: and {count - MOST_SHOWN:,} more"))


def _preview(chosen: argparse.Namespace) -> int:
    from ffcv_hydra.cli.commands import checked_run_config
    from ffcv_hydra.cli.entry import execute

    def draw(config: "DictConfig") -> None:
        checked = checked_run_config(config)
        from ffcv_hydra.preview import preview

        print(preview(checked, chosen.output, chosen.stage, chosen.samples, chosen.epoch, chosen.epochs))

    execute(draw, "run", _hydra_arguments(chosen))
    return 0


def _explain(chosen: argparse.Namespace) -> int:
    from ffcv_hydra.cli.commands import checked_run_config
    from ffcv_hydra.cli.entry import execute

    def say(config: "DictConfig") -> None:
        checked = checked_run_config(config)
        from ffcv_hydra.bench import explain

        for text in explain(checked, chosen.stage):
            print(printable(text), end="\n\n")

    execute(say, "run", _hydra_arguments(chosen))
    return 0


def _bench(chosen: argparse.Namespace) -> int:
    from ffcv_hydra.cli.commands import checked_run_config
    from ffcv_hydra.cli.entry import execute

    def measure(config: "DictConfig") -> None:
        checked = checked_run_config(config)
        from ffcv_hydra.bench import bench, print_report

        print_report(bench(checked, chosen.stage, chosen.seconds))

    execute(measure, "run", _hydra_arguments(chosen))
    return 0


def _sweep(chosen: argparse.Namespace) -> int:
    from ffcv_hydra.sweeps.summary import summarize

    summarize(chosen.path)
    return 0


def _summary(found: "Verification") -> str:
    verdict = f"{len(found.findings)} finding{'s'[: len(found.findings) != 1]}" if found.findings else "whole"
    if not found.num_samples:
        return f"{found.path}: {verdict}; nothing else in it could be checked"
    against = "compared with their checksums" if found.has_checksums else "not compared: the file has no checksums"
    decoded = f", {found.num_decoded} JPEGs decoded" if found.num_decoded else ""
    decoded += f", {found.num_masks} masks decoded" if found.num_masks else ""
    counted = f"{found.num_samples} samples{'' if found.num_shards is None else f' in {found.num_shards} shards'}"
    return f"{found.path}: {verdict} ({counted}, {found.num_allocations} allocations {against}{decoded})"


@contextmanager
def _progress_bar() -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("verify", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
