"""A user's code in a process of its own: what it draws, prints, keeps or breaks stays there, and it can be ended."""

from __future__ import annotations

import logging
import os
import signal
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Pipe
from typing import Any

from ffcv_hydra.beton.writing.own_positions import take_own_positions
from ffcv_hydra.loaded_torch import use_one_thread
from ffcv_hydra.parent_death import die_with

Send = Callable[[Any], None]
_END = "the end"


def run_isolated(work: Callable[[Send], None], seconds: float) -> tuple[list[Any], bool]:
    """Run `work` in a forked process for at most `seconds`.

    Args:
        work: Is given a function that sends a value, which can be pickled, to this process. An exception ends it.

    Returns:
        The values, and whether `work` was still running when its time was up.
    """
    deadline = time.monotonic() + seconds
    ours, theirs = Pipe(duplex=False)
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python 3.12 warns of every fork beside threads; the child starts none before the work does.
        warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            _prepare(parent)
            work(theirs.send)
            theirs.send(_END)
        finally:
            os._exit(0)
    theirs.close()
    received: list[Any] = []
    try:
        while ours.poll(max(0.0, deadline - time.monotonic())):
            message = ours.recv()
            if message == _END:
                return received, False
            received.append(message)
        return received, True
    except (EOFError, OSError):  # it died
        return received, False
    finally:
        ours.close()
        _end(child)


def _prepare(parent: int) -> None:
    """Make the forked process quiet, and independent of its parent but for its life."""
    die_with(parent)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not a handler that the parent had installed
    logging.disable()
    warnings.simplefilter("ignore")
    take_own_positions()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    use_one_thread()


def _end(child: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(child, 0)
