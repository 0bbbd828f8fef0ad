"""`python -m ffcv_hydra preview|explain|bench`: what runs would load."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ffcv_hydra.cli.tool import Tool, number
from ffcv_hydra.printable import printable
from ffcv_hydra.stages import STAGES

if TYPE_CHECKING:
    from omegaconf import DictConfig


def _add_composition(parser: argparse.ArgumentParser, default_stage: str = "train") -> None:
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="groups and keys of run.py")
    for short, name, what in (
        ("-cd", "--config-dir", "a folder of configs of your own, beside the shipped ones"),
        ("-cn", "--config-name", "the config that is composed in the place of run"),
        ("-cp", "--config-path", "the folder that it is in"),
    ):
        parser.add_argument(short, name, metavar="NAME" if short == "-cn" else "PATH", help=f"as for run.py: {what}")
    parser.add_argument("--stage", choices=STAGES, default="train", help=f"default: {default_stage}")


def _add_preview(parser: argparse.ArgumentParser) -> None:
    _add_composition(parser)
    parser.add_argument("--output", default="preview.png", metavar="PNG", help="where to (default: preview.png)")
    for name, least, default, what in (
        ("samples", 1, 8, "how many samples"),
        ("epoch", 0, 0, "the first epoch"),
        ("epochs", 1, 4, "how many epochs"),
    ):
        help_text = f"{what} (default: {default})"
        parser.add_argument(f"--{name}", type=number(least), default=default, metavar="N", help=help_text)

    what = "of images of many channels, those that are shown as red, green and blue, or one (default: the first)"
    parser.add_argument("--channels", type=_channels, default=(), metavar="N,N,N", help=what)


def _channels(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if len(parts) not in (1, 3) or not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not one channel or three, as 3,2,1")
    return tuple(map(int, parts))


def _add_explain(parser: argparse.ArgumentParser) -> None:
    _add_composition(parser, "all that the dataset has")
    parser.set_defaults(stage=None)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    _add_composition(parser)
    parser.add_argument(
        "--seconds", type=_seconds, default=10.0, metavar="S", help="how long to measure (default: 10 seconds)"
    )
    parser.add_argument("--json", metavar="FILE", help="where to write what was measured, for compare")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _composed(task: Callable[[argparse.Namespace, dict], None]) -> Callable[[argparse.Namespace], int]:
    """A command that does `task` with a run's config, which has passed the checks of a run."""

    def run(chosen: argparse.Namespace) -> int:
        from ffcv_hydra.cli.commands import checked_run_config
        from ffcv_hydra.cli.entry import execute

        def checked(config: "DictConfig") -> None:
            task(chosen, checked_run_config(config))

        options = ("config_dir", "config_name", "config_path")
        given = {name: value for name in options if (value := getattr(chosen, name)) is not None}
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        execute(checked, "run", [*flags, "hydra.run.dir=.", *chosen.overrides])  # such a command has no run folder
        return 0

    return run


def _preview(chosen: argparse.Namespace, config: dict) -> None:
    from ffcv_hydra.preview import preview

    numbers = chosen.samples, chosen.epoch, chosen.epochs
    print(preview(config, chosen.output, chosen.stage, *numbers, chosen.channels))


def _explain(chosen: argparse.Namespace, config: dict) -> None:
    from ffcv_hydra.bench import explain

    for text in explain(config, chosen.stage):
        print(printable(text), end="\n\n")


def _bench(chosen: argparse.Namespace, config: dict) -> None:
    from ffcv_hydra.bench import bench, print_report
    from ffcv_hydra.errors import WriteError

    if chosen.json is not None and not Path(chosen.json).absolute().parent.is_dir():
        raise WriteError(f"{chosen.json} cannot be written: its folder is not there")
    report = bench(config, chosen.stage, chosen.seconds)
    print_report(report)
    if chosen.json is not None:
        report.save(Path(chosen.json))


PREVIEW = Tool(
    "preview",
    "draw what a pipeline makes of a dataset's samples",
    _add_preview,
    _composed(_preview),
    "Draw a contact sheet of samples as they are stored and as a run would read them.",
)
EXPLAIN = Tool(
    "explain",
    "say what a run's loaders do to every batch",
    _add_explain,
    _composed(_explain),
    "Say per stage and output what runs in which order, what was fused, and what it takes; some batches are read,"
    " nothing is trained.",
)
BENCH = Tool(
    "bench",
    "measure how fast a run's loader is, and where its time goes",
    _add_bench,
    _composed(_bench),
    "Read a stage's batches as fast as they come, and say what a trainer would be limited by.",
)
