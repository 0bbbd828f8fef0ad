"""What the machine has, split over jobs that run at once."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ffcv_hydra.cores import usable_cores
from ffcv_hydra.errors import ConfigError


@dataclass(frozen=True)
class Slot:
    """A share of the machine for one job at a time.

    Args:
        cores: the ones that its processes may use.
        gpus: their indices or ids, as CUDA_VISIBLE_DEVICES has them; None leaves that variable as it is.
    """

    cores: tuple[int, ...]
    gpus: tuple[str, ...] | None = None


def make_slots(jobs: int, gpus_per_job: int | None, cores: Sequence[int], gpus: Sequence[str]) -> list[Slot]:
    """Split cores and GPUs evenly over `jobs` jobs at once.

    Args:
        jobs: how many.
        gpus_per_job: None splits all GPUs evenly; where there are fewer GPUs than jobs, jobs share them.
        cores: those that can be used; neighbours in this order go to the same slot.
        gpus: those that can be used.

    Raises:
        ConfigError: there is not one core for each job, or there are fewer GPUs than asked for.
    """
    if jobs < 1 or jobs > len(cores):
        raise ConfigError(f"hydra.launcher.jobs={jobs}: choose from 1 to {len(cores)}, the number of usable cores")
    if gpus_per_job is not None and not 0 <= gpus_per_job * jobs <= len(gpus):
        raise ConfigError(
            f"hydra.launcher.gpus_per_job={gpus_per_job} for {jobs} jobs at once: this machine has {len(gpus)} GPUs; "
            "ask for fewer, or for fewer jobs at once"
        )
    found = []
    for slot in range(jobs):
        share = tuple(cores[slot * len(cores) // jobs : (slot + 1) * len(cores) // jobs])
        found.append(Slot(share, _gpus_of(slot, jobs, gpus_per_job, gpus)))
    return found


def _gpus_of(slot: int, jobs: int, gpus_per_job: int | None, gpus: Sequence[str]) -> tuple[str, ...] | None:
    if gpus_per_job is not None:
        return tuple(gpus[slot * gpus_per_job : (slot + 1) * gpus_per_job])
    if jobs == 1 or not gpus:
        return None
    if len(gpus) < jobs:
        return (gpus[slot % len(gpus)],)
    return tuple(gpus[slot * len(gpus) // jobs : (slot + 1) * len(gpus) // jobs])


def neighbouring_cores() -> list[int]:
    """Return as many cores as this process can use, hyperthreads of one physical core next to each other."""
    return sorted(os.sched_getaffinity(0), key=lambda core: (*_topology(core), core))[: usable_cores()]


def _topology(core: int) -> tuple[int, int]:
    folder = Path(f"/sys/devices/system/cpu/cpu{core}/topology")
    try:
        return int((folder / "physical_package_id").read_text()), int((folder / "core_id").read_text())
    except (OSError, ValueError):
        return 0, core


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Return the GPUs that a process with this environment sees, as CUDA_VISIBLE_DEVICES would name them.

    `nvidia-smi` is asked, since importing torch takes seconds.
    """
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() and name.strip() != "-1"]
    try:
        asked = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return asked.stdout.split() if asked.returncode == 0 else []
