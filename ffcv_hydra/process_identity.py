"""Which process it is that a file speaks of, and whether it is still there."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """What tells this process from every other one, of this machine and of others, as plain values.

    `host` is the machine's name and `pid` the process's number; `started` is when it was started, in the kernel's own
    clock, `boot` tells one start of the machine from the next, and `namespace` one container from another. Where the
    system has no `/proc`, the last three are null.
    """
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid()), **_here()}


def is_there(process: Mapping[str, Any]) -> bool | None:
    """Whether the process that `this_process` was asked in is still there; None if that cannot be known from here.

    It can within the container, or machine, that it was started in, as long as that was not started anew.
    """
    here = _here()
    if None in here.values() or any(process.get(name) != value for name, value in here.items()):
        return None
    started = _started(process["pid"])
    if started is None and _is_hidden(process["pid"]):
        return None
    return started is not None and started == process.get("started")


def _here() -> dict[str, str | None]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return {"boot": boot, "namespace": os.readlink("/proc/self/ns/pid")}
    except OSError:
        return {"boot": None, "namespace": None}


def _is_hidden(pid: int) -> bool:
    """Whether there is such a process of another user, which a `/proc` with `hidepid` does not show."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        pass
    return False


def _started(pid: int) -> int | None:
    """The process's start in clock ticks after the machine's (proc_pid_stat(5), field 22); None if there is none.

    A zombie has ended.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
