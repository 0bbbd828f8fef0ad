"""Commands of the checkout in processes that need not import torch and Lightning first.

A server that has imported them forks one for each command, which saves most of what a short command takes. What it
prints, how it hears signals and how it ends is as if it had been started by its command line; what happens while Python
starts and while libraries are imported is for tests that start an interpreter.
"""

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from ffcv_hydra import errors

ROOT = Path(__file__).parents[1]
IMPORTED = (
    "ffcv_hydra.cli.inspection", "ffcv_hydra.cli.schema", "ffcv_hydra.building.preparation", "ffcv_hydra.training",
    "ffcv_hydra.callbacks", "ffcv_hydra.models", "ffcv_hydra.sweeps.delegate", "ffcv_hydra.datasets", "torchvision",
    "s3fs",  # which Lightning imports if it is there
)  # fmt: skip


def start(
    command: Sequence[str | Path],
    folder: Path,
    output: Path,
    error_output: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> BaseProcess:
    """Start a command in a session of its own.

    Args:
        command: a script of the checkout, or `-m` and a module; and arguments.
        folder: where it works.
        output: a file that stdout is appended to.
        error_output: the same for stderr; None: they go to `output`, too.
        environment: in place of this process's.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*IMPORTED])
    outputs = output, output if error_output is None else error_output
    variables = dict(os.environ if environment is None else environment)
    process = context.Process(target=_be, args=([*map(str, command)], folder, outputs, variables))
    process.start()
    return process


def run(
    command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None, timeout: float = 280
) -> "subprocess.CompletedProcess[str]":
    """Run a command as `start` does, to its end."""
    with tempfile.TemporaryDirectory() as kept:
        output, error_output = Path(kept, "output"), Path(kept, "errors")
        process = start(command, folder, output, error_output, environment)
        try:
            process.join(timeout)
            if process.exitcode is None:
                raise subprocess.TimeoutExpired(command, timeout, output.read_bytes(), error_output.read_bytes())
        finally:
            process.kill()
        return subprocess.CompletedProcess(command, process.exitcode, output.read_text(), error_output.read_text())


def _be(command: list[str], folder: Path, outputs: tuple[Path, Path], environment: Mapping[str, str]) -> None:
    os.setsid()
    for number, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.chdir(folder)
    errors._STARTED_IN = str(folder)  # what it was when the server imported it
    os.environ.clear()
    os.environ.update(environment)
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.orig_argv = [sys.executable, *command]
    try:
        if command[0] == "-m":
            sys.argv, sys.path = command[1:], [str(folder), *paths, *sys.path]
            runpy.run_module(command[1], run_name="__main__", alter_sys=True)
        else:
            script = ROOT / command[0]
            sys.argv, sys.path = [str(script), *command[1:]], [str(script.parent), *paths, *sys.path]
            runpy.run_path(str(script), run_name="__main__")
    finally:  # as at the end of an interpreter, and before multiprocessing waits for children that these end
        threading._shutdown()
        atexit._run_exitfuncs()
