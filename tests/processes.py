"""Commands of the checkout in processes that need not import torch and Lightning first.

A server that has imported them forks one for each command, which saves most of what a short command takes. What it
prints, how it hears signals and how it ends is as if it had been started by its command line; what happens while Python
starts and while libraries are imported is for tests that start an interpreter.
"""

import atexit
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from ffcv_hydra import errors

ROOT = Path(__file__).parents[1]
IMPORTED = (
    "ffcv_hydra.cli.inspection", "ffcv_hydra.cli.schema", "ffcv_hydra.building.preparation", "ffcv_hydra.training",
    "ffcv_hydra.callbacks", "ffcv_hydra.models", "ffcv_hydra.sweeps.delegate", "ffcv_hydra.datasets", "torchvision",
    "s3fs",  # which Lightning imports if it is there
)  # fmt: skip


def _server() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*IMPORTED])
    return context


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
    context = _server()
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


def on_two_ranks(work: Callable[..., Any], *arguments: Any, timeout: float = 200) -> list[Any]:
    """What `work(rank, *arguments)` returns in each of two processes that are told that they are ranks."""
    context = _server()
    results = context.Queue()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [context.Process(target=_be_rank, args=(rank, port, work, arguments, results)) for rank in range(2)]
    for process in ranks:
        process.start()
    try:
        found = {rank: (result, error) for rank, result, error in (results.get(timeout=timeout) for _ in ranks)}
        assert not any(error for _, error in found.values()), found
        for process in ranks:
            process.join(timeout)
    finally:
        for process in ranks:
            process.kill()
    return [found[rank][0] for rank in range(2)]


def _be_rank(rank: int, port: int, work: Callable[..., Any], arguments: Sequence[Any], results: Any) -> None:
    import torch

    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    os.environ |= {"MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    try:
        results.put((rank, work(rank, *arguments), None))
        torch.distributed.destroy_process_group()
    except BaseException:
        results.put((rank, None, traceback.format_exc()))


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
