"""Processes that end when the one that started them does, whatever they are doing."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies; does nothing where there is no Linux.

    A worker that reads from a dead network drive would else stay. The kernel watches the thread that forked this
    process: it has to live as long as the process is needed.

    Args:
        parent: The parent's process id.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)
