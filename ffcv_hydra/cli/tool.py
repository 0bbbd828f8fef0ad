"""What a command of `python -m ffcv_hydra` is, and what the arguments of several of them are."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ffcv_hydra.urls import is_url, shown


@dataclass(frozen=True)
class Tool:
    """A command.

    Attributes:
        name: what it is called by.
        help: in a line, what it is for.
        description: the same at more length; by default `help`.
        add_arguments: to its parser.
        run: with the parsed arguments; gives the exit status. It imports what is heavy.
    """

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    description: str = ""


def path_here(path: str) -> str:
    """The path of a beton on this machine."""
    if is_url(path):
        raise argparse.ArgumentTypeError(
            f"{shown(path)} is a URL; python -m ffcv_hydra fetch URL says where it is here"
        )
    return path


def number(least: int) -> Callable[[str], int]:
    """A parser of whole numbers from `least` on."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} on")
        return int(text)

    return parse


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, if that is a terminal, and what is to be called with the done and all."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
