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
from ffcv_hydra.redaction import redacted_words

_PACKAGES = ("ffcv_hydra", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "numba", "numpy", "hydra-core")

_TIMEOUT = 5.0
"""Seconds that git has: `status` of a large repository, or of one on a network, takes longer."""


def provenance() -> dict[str, Any]:
    """What `result.json` says of where a run comes from.

    `command` as a shell takes it, without what is secret in it, and the folder it was started in (`folder`),
    `versions` by package, `commit` (of git in that folder: `hash` and whether tracked files differ from it, `dirty`,
    null where git does not say so in time; only `error` where git cannot tell; null outside a repository), `machine`,
    `host` and `process`.
    """
    process = this_process()
    return {
        "command": shlex.join(redacted_words(sys.orig_argv)),
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
    try:
        commit = _git(folder, "rev-parse", "--verify", "HEAD")
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().partition("\n")[0]
        return None if "not a git repository" in said else {"error": said}
    except subprocess.TimeoutExpired as error:
        return {"error": f"no answer within {error.timeout:.0f} s"}
    except (OSError, ValueError) as error:
        return {"error": str(error)}
    try:
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError, ValueError):
        return {"hash": commit, "dirty": None}
    return {"hash": commit, "dirty": bool(changes)}


def _git(folder: str, *arguments: str) -> str:
    """What git says, in English."""
    command = ["git", "-C", folder, "--no-optional-locks", *arguments]
    environment = {**os.environ, "LC_ALL": "C"}
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIMEOUT, env=environment)
    return found.stdout.strip()
