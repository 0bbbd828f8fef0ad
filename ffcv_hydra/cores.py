"""How many processor cores this process may keep busy."""

import math
import os
from collections.abc import Iterator
from pathlib import Path


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may run on, or as many as its cgroup's share of the time is worth, if these are fewer.

    Containers are held to a share ("4 CPUs") of a machine all of whose cores they see; threads beyond it are stopped
    for the rest of each period. A part of a core counts as a whole one; there is at least one.

    Args:
        root: where `proc` and `sys` are mounted.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        cores = os.cpu_count() or 1
    return max(1, math.ceil(min([cores, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Cores' worth of time, of each cgroup from this process's own up to the root: every one of them is a limit."""
    # https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max), .../scheduler/sched-bwc.html (cgroup v1)
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / controllers
        group = mount / path.lstrip("/")  # maybe a path of the host's; then the container's own group is at `mount`
        for folder in dict.fromkeys([group, *group.parents, mount]):
            if not folder.is_relative_to(mount):
                continue
            names = ["cpu.cfs_quota_us", "cpu.cfs_period_us"] if controllers else ["cpu.max"]
            numbers = " ".join(_read(folder / name) for name in names).split()
            if len(numbers) == 2 and numbers[0].isdigit() and numbers[1].isdigit():  # "max" or -1 for no limit
                yield int(numbers[0]) / int(numbers[1])


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
