"""Processes that end when the one that started them does, whatever they are doing."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Looked up beforehand: a process that was just forked, maybe from one with threads, does as little as it can.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def die_with(parent: int, signum: int = signal.SIGKILL) -> None:
    """Let the kernel end this process when its parent dies; does nothing where there is no Linux.

    A worker that reads from a dead network drive would else stay. The kernel watches the thread that forked this
    process: it has to live as long as the process is needed.

    Args:
        parent: the parent's process id.
        signum: the signal that this process gets.
    """
    if _prctl is None:
        return
    _prctl(_PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)
