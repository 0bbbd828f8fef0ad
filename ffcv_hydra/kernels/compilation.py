"""How kernels are compiled: once per machine, for one signature, cached on disk. They release the GIL, save brief ones.

numba's own cache does not notice a change in a function that a kernel calls from another file, so the cache folder is
named after a hash of every kernel source, numba's version and the CPU. Compilation happens at the first call, under a
file lock for each kernel, so that ranks that start together compile once.
"""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numba.core.config as numba_config
from filelock import FileLock
from numba import types
from numba.core import sigutils
from numba.np.numpy_support import as_dtype

from ffcv_hydra.errors import LoaderError
from ffcv_hydra.kernels.shared_types import unspoiled_types

_OPTIONS: dict[str, Any] = {"error_model": "numpy", "cache": True}


def cache_directory() -> Path:
    """The folder of this version's compiled kernels, below `FFCV_HYDRA_CACHE` or the user's cache folder."""
    base = os.environ.get("FFCV_HYDRA_CACHE")
    if base is None:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "ffcv_hydra")
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    for part in (numba.__version__, llvmlite.binding.get_host_cpu_name(), os.environ.get("NUMBA_CPU_NAME", "")):
        digest.update(str(part).encode())
    return Path(base) / digest.hexdigest()[:16]


class Kernel:
    """A serial kernel with one signature, compiled or loaded from the disk cache when it is first called.

    It is called by its entry point, past numba's choice by argument types, which FFCV can spoil (see `shared_types`);
    so arrays are compared with the signature here.
    """

    def __init__(self, function: Callable[..., Any], signature: str | Any, brief: bool = False) -> None:
        self.__doc__ = function.__doc__
        self.python = function
        self._signature = signature
        self._brief = brief
        arguments, _ = sigutils.normalize_signature(signature)
        self._arrays = [
            (position, as_dtype(type_.dtype), type_.ndim)
            for position, type_ in enumerate(arguments)
            if isinstance(type_, types.Array)
        ]
        self._dispatcher: Any = None  # owns the code
        self._address = 0
        self._entry_point: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        if self._entry_point is None:
            self.compile()
        assert self._entry_point is not None
        for position, dtype, ndim in self._arrays:
            array = args[position]
            if array.dtype != dtype or array.ndim != ndim or not array.flags.c_contiguous:
                raise TypeError(f"{self.python.__name__}: argument {position} must be {dtype}, {ndim}-d and contiguous")
        return self._entry_point(*args)

    @property
    def _file_name(self) -> str:
        """What numba's files of the compiled code begin with."""
        module = self.python.__module__.rpartition(".")[2]
        return f"{module}.{self.python.__qualname__}-{self.python.__code__.co_firstlineno}"

    @property
    def compiled(self) -> bool:
        """Whether calls start at once: the code is in this process, or on disk."""
        return self._entry_point is not None or any(cache_directory().rglob(f"{self._file_name}.*.nbi"))

    @property
    def address(self) -> int:
        """Where the compiled code is, for other kernels' `call_address`; arguments and result are int64."""
        if self._entry_point is None:
            self.compile()
        return self._address

    def compile(self) -> None:
        """Compile now, or load the compiled code from disk.

        Raises:
            LoaderError: the cache folder cannot be written.
        """
        folder = cache_directory()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LoaderError(
                f"compiled kernels cannot be kept in {folder}: {error.strerror}; set FFCV_HYDRA_CACHE to another folder"
            ) from error
        with FileLock(folder / f".{self._file_name}.lock"), unspoiled_types():
            if self._entry_point is not None:
                return
            previous = numba_config.CACHE_DIR  # type: ignore[attr-defined]
            numba_config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
            try:
                self._dispatcher = numba.njit(nogil=not self._brief, **_OPTIONS)(self.python)
                entry_point = self._dispatcher.compile(self._signature)
                (compiled,) = self._dispatcher.overloads.values()
                self._address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)
                self._entry_point = entry_point
            finally:
                numba_config.CACHE_DIR = previous  # type: ignore[attr-defined]


_one_at_a_time = threading.Lock()


def compile_at_once(here: Sequence[Kernel], elsewhere: Sequence[Kernel]) -> None:
    """Compile some kernels, and at the same time others in another process; nothing if one of them is compiled.

    numba compiles one function at a time in a process. Where that process fails, `elsewhere` are compiled when they
    are first called, as any kernel is.
    """
    if here[0]._entry_point is not None:  # this is asked for each chunk of each batch
        return
    with _one_at_a_time:
        if any(kernel.compiled for kernel in (*here, *elsewhere)) or len(os.sched_getaffinity(0)) < 2:
            return
        names = [(kernel.python.__module__, kernel.python.__name__) for kernel in elsewhere]
        script = "; ".join(f"from {module} import {name}; {name}.compile()" for module, name in names)
        command = [sys.executable, "-c", script]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            for kernel in here:
                kernel.compile()


def kernel(signature: Any, brief: bool = False) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a `Kernel` of the decorated function.

    Args:
        signature: numba's, as a string or type.
        brief: keep the GIL, in kernels of a few microseconds: to get it back from another thread takes tens of them.
    """

    def decorate(function: Callable[..., Any]) -> Kernel:
        return Kernel(function, signature, brief)

    return decorate


# What kernels call: compiled with its caller and inlined there by LLVM. Python cannot call it: the two wrappers that it
# would need take a third of the time that compilation does.
_UNWRAPPED: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
device_function = numba.njit(error_model="numpy", **_UNWRAPPED)

# For short functions in inner loops, which LLVM calls instead if there are many places to inline them to.
innermost_function = numba.njit(error_model="numpy", forceinline=True, **_UNWRAPPED)

# For thin functions with much below them, all of which would be compiled once more for each layer around it.
inlined_function = numba.njit(error_model="numpy", inline="always")
