"""Commands whose output nobody reads to its end, as in `run.py --help | head`."""

import logging
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_Report = Callable[[logging.LogRecord], None]


@contextmanager
def may_be_unread() -> Iterator[None]:
    """End the process without a word, with the status that a shell gives to SIGPIPE, if stdout's reader has gone."""
    for handler in logging.getLogger().handlers:
        if getattr(handler, "stream", None) is sys.stdout:
            vars(handler)["handleError"] = _ending(handler.handleError)
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not _is_unread():
            raise
        _end()


def _ending(report: _Report) -> _Report:
    """`report`, which prints a traceback and goes on, but for a closed pipe: what is written next would fail, too."""

    def handle_error(record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            _end()
        report(record)

    return handle_error


def _end() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the end
    sys.exit(141)


def _is_unread() -> bool:
    """Whether it is stdout's reader that has gone, and not another pipe's."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return bool(poll.poll(0))
