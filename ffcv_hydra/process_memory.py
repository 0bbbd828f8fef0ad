"""How much memory this process has in use; files that are mapped count as far as they are in memory."""

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_memory() -> int:
    """Bytes now; at most, where the system does not tell."""
    return _of_status("VmRSS") or _at_most()


def peak_resident_memory() -> int:
    """The most bytes so far.

    What `getrusage` says, where there is better, is not used: that counts the process which started this one, too.
    """
    return _of_status("VmHWM") or _at_most()


def _of_status(name: str) -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None)


def _at_most() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
