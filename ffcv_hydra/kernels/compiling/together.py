"""Compilation of many kernels by several processes: numba compiles one function at a time in each.

Processes share nothing but the kernels' locks: each takes the next kernel that nobody is at, so that ranks that start
together share the work, too.
"""

import gc
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module

from ffcv_hydra.cores import usable_cores
from ffcv_hydra.kernels.compiling.compilation import Kernel, cache_directory
from ffcv_hydra.kernels.compiling.numba_internals import cached_names

logger = logging.getLogger(__name__)

_LONG = 3.0  # seconds, after which whoever waits is told why
_MAX_PROCESSES = 4  # each takes half a second and 100 MB to begin with
_SCRIPT = "import sys; from ffcv_hydra.kernels.compiling.together import compile_named; compile_named(sys.argv[1:])"


def compile_together(kernels: Iterable[Kernel]) -> None:
    """Compile those kernels that are not compiled yet, by as many processes as there are cores, but no more than four.

    What another process fails to compile is compiled when it is first called, as any kernel is.

    Args:
        kernels: those that take longest first.

    Raises:
        LoaderError: the cache folder cannot be written.
    """
    missing = _missing(kernels)
    if not missing:
        return
    names = [name for kernel in missing if (name := _name(kernel)) is not None]
    others = min(usable_cores(), _MAX_PROCESSES, len(missing)) - 1 if names else 0
    with _telling(len(missing)), ExitStack() as stack:
        with suppress(OSError):  # where no process can be started, this one does all
            for _ in range(others):
                stack.enter_context(_process(names))
        for kernel in missing:
            kernel.compile_unless_taken()


@contextmanager
def _telling(count: int) -> Iterator[None]:
    """Say that code is compiled if it takes long: in the log, or on a terminal where nobody has asked for one."""
    text = f"compiling {count} functions for this processor, once: they are kept in {cache_directory()}"

    def tell() -> None:
        if logger.isEnabledFor(logging.INFO):
            logger.info(text)
        elif sys.stderr.isatty():
            print(text, file=sys.stderr)

    timer = threading.Timer(_LONG, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _process(names: Sequence[str]) -> subprocess.Popen[bytes]:
    environment, nothing = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, subprocess.DEVNULL
    command = [sys.executable, "-c", _SCRIPT, *names]
    return subprocess.Popen(command, env=environment, stdin=nothing, stdout=nothing, stderr=nothing)


def compile_named(names: Sequence[str]) -> None:
    """Compile kernels that nobody is at, given as 'module:name'."""
    gc.disable()  # numba makes so many objects that the collector takes a twentieth of the time; the process ends soon
    for name in names:
        module, _, attribute = name.partition(":")
        getattr(import_module(module), attribute).compile_unless_taken()


def _missing(kernels: Iterable[Kernel]) -> list[Kernel]:
    """The kernels that are neither in this process nor on disk, each once."""
    unloaded = list(dict.fromkeys(kernel for kernel in kernels if not kernel.loaded))
    on_disk = cached_names(cache_directory()) if unloaded else set()
    return [kernel for kernel in unloaded if kernel.cache_name not in on_disk]


def _name(kernel: Kernel) -> str | None:
    """Where another process finds a kernel, if it can."""
    module = kernel.python.__module__
    if module == "__main__":
        return None
    found = (name for name, value in vars(sys.modules[module]).items() if value is kernel)
    return next((f"{module}:{name}" for name in found), None)
