"""What a run was made with: command, versions, commit and machine."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ffcv_hydra.bench.facts import processor
from ffcv_hydra.cores import usable_cores
from ffcv_hydra.process_identity import this_process

_PACKAGES = ("ffcv_hydra", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "numba", "numpy", "hydra-core")


def provenance() -> dict[str, Any]:
    """What `result.json` says of where a run comes from.

    `command` as a shell takes it and the folder it was started in (`folder`), `versions` by
    package, `commit` (of git in that folder: its hash and whether tracked files differ from it; null outside a
    repository), `machine`, `host` and `process`.
    """
    process = this_process()
    return {
        "command": shlex.join(sys.orig_argv),
        "folder": os.getcwd(),
        "commit": _commit(os.getcwd()),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "host": process["host"],
        "machine": {
            "processor": processor(),
            "cores": usable_cores(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "system": platform.platform(),
        },
        "process": process,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit(folder: str) -> dict[str, Any] | None:
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"hash": commit, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}


def _git(folder: str, *arguments: str) -> str | None:
    """What git says; None where there is no git, no repository, or no answer within some seconds."""
    command = ["git", "-C", folder, "--no-optional-locks", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
