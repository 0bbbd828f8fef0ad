"""What happens in a forked child, which may hang."""

import contextlib
import faulthandler
import os
import pickle
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any


def in_child(rule: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What `rule` gives in a child of this process, or the text of what it raises.

    A child that hangs is killed, and says before on stderr where its threads are.
    """
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, which is what is tried
        child = os.fork()
    if child == 0:
        answer: Any = None
        faulthandler.dump_traceback_later(0.9 * seconds, file=sys.__stderr__)
        try:
            answer = rule()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        finally:
            with contextlib.suppress(OSError), open(write_end, "wb") as file:
                pickle.dump(answer, file)
            os._exit(0)
    os.close(write_end)
    try:
        return _answer(read_end, time.monotonic() + seconds)
    finally:
        os.close(read_end)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _answer(read_end: int, deadline: float) -> Any:
    found = b""
    while True:
        ready, _, _ = select.select([read_end], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise AssertionError("the child hangs")
        block = os.read(read_end, 1 << 16)
        if not block:
            break
        found += block
    assert found, "the child died"
    return pickle.loads(found)
