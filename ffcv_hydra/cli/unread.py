"""Commands whose output nobody reads to its end, as in `run.py --help | head`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def may_be_unread() -> Iterator[None]:
    """End the process without a word, with the status that a shell gives to SIGPIPE, if the reader has gone."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is flushed at the end
        sys.exit(141)
