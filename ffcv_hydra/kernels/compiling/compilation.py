"""How kernels are compiled: once per machine, for one signature, cached on disk. They release the GIL, save brief ones.

numba's own cache does not notice a change in a function that a kernel calls from another file, so the cache folder is
named after a hash of every kernel source, numba's version and the CPU. Compilation happens at the first call, under a
file lock for each kernel, so that ranks that start together compile once. A folder that cannot be written is read.
"""

import ctypes
import functools
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba

from ffcv_hydra.errors import LoaderError
from ffcv_hydra.kernels.compiling.numba_internals import (
    argument_types,
    array_arguments,
    cache_name,
    cached_names,
    compile_for,
    global_compiler_lock,
    without_writing,
)
from ffcv_hydra.locks import locked

_failures: dict[int, BaseException] = {}  # of kernels that were to be compiled when they were called, by thread


def cache_directory() -> Path:
    """The folder of this version's compiled kernels, below `FFCV_HYDRA_CACHE` or the user's cache folder."""
    base = os.environ.get("FFCV_HYDRA_CACHE")
    if base is None:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "ffcv_hydra")
    return Path(base) / _version(Path(__file__).parents[1])


@functools.cache
def _version(sources: Path) -> str:
    """A name for the kernels' sources, as they are when it is first asked for, numba and the CPU."""
    digest = hashlib.sha256()
    for source in sorted(sources.rglob("*.py")):
        digest.update(source.read_bytes())
    for part in (numba.__version__, llvmlite.binding.get_host_cpu_name(), os.environ.get("NUMBA_CPU_NAME", "")):
        digest.update(str(part).encode())
    return digest.hexdigest()[:16]


def _cannot_be_kept(error: OSError) -> LoaderError:
    return LoaderError(
        f"compiled kernels cannot be kept in {cache_directory()}: {error.strerror or error}; set FFCV_HYDRA_CACHE to "
        "another folder"
    )


# A forked child would wait for ever for a thread of its parent's that was compiling: fork when none is.
os.register_at_fork(
    before=global_compiler_lock.acquire,
    after_in_parent=global_compiler_lock.release,
    after_in_child=global_compiler_lock.release,
)


class Kernel:
    """A serial kernel with one signature, compiled or loaded from the disk cache when it is first called.

    It is called by its entry point, past numba's choice by argument types, which FFCV can spoil (see
    `unspoiled_types`); so arrays are compared with the signature here.
    """

    _deferred: Any = None  # owns what is at `deferred_address`

    def __init__(self, function: Callable[..., Any], signature: str | Any, brief: bool = False) -> None:
        self.__doc__ = function.__doc__
        self.python = function
        self._signature = signature
        self._brief = brief
        self._arrays = array_arguments(signature)
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
        result = self._entry_point(*args)
        if _failures and (failure := _failures.pop(threading.get_ident(), None)) is not None:
            raise failure
        return result

    @property
    def loaded(self) -> bool:
        """Whether the code is in this process."""
        return self._entry_point is not None

    @property
    def compiled(self) -> bool:
        """Whether calls start at once: the code is in this process, or on disk."""
        return self._entry_point is not None or self.cache_name in cached_names(cache_directory())

    @property
    def cache_name(self) -> str:
        """What `cached_names` of the cache folder has, once it is compiled."""
        return cache_name(self.python)

    @property
    def address(self) -> int:
        """Where the compiled code is, for other kernels' `call_address`; arguments and result are int64."""
        if self._entry_point is None:
            self.compile()
        return self._address

    @property
    def deferred_address(self) -> int:
        """As `address`; but until the kernel is compiled, that of code which compiles it when it is first called."""
        if self._entry_point is not None:
            return self._address
        deferred = self._deferred
        if deferred is None:
            prototype = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(argument_types(self._signature)))
            # in one step: of several threads that ask at once, none may be left with code that has been freed
            deferred = vars(self).setdefault("_deferred", prototype(self._compile_and_call))
        address = ctypes.cast(deferred, ctypes.c_void_p).value
        assert address is not None
        return address

    def _compile_and_call(self, *arguments: int) -> int:
        try:
            if self._entry_point is None:  # those who have the address may call it many times
                self.compile()
        except BaseException as error:
            _failures[threading.get_ident()] = error  # raised by the kernel that called this, see `__call__`
            return -1
        return type(self._deferred)(self._address)(*arguments)

    def compile(self) -> None:
        """Compile now, or load the compiled code from disk.

        Raises:
            LoaderError: the cache folder cannot be written.
        """
        with self._locked():
            self._compile()

    def compile_unless_taken(self) -> None:
        """Compile, unless it is on disk, or another process or thread is at it.

        Raises:
            LoaderError: the cache folder cannot be written.
        """
        with self._locked(wait=False) as has_it:
            if has_it and not self.compiled:
                self._compile()

    @contextmanager
    def _locked(self, wait: bool = True) -> Iterator[bool]:
        """No other process is at this kernel, or False. In a folder that cannot be written what is there is used."""
        folder = cache_directory()
        with ExitStack() as stack:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                has_it = stack.enter_context(locked(folder / f".{self.cache_name}.lock", wait))
            except OSError as error:
                if not self.compiled:
                    raise _cannot_be_kept(error) from error
                stack.enter_context(without_writing())
                has_it = True
            yield has_it

    def _compile(self) -> None:
        """`compile`, with the lock held."""
        if self._entry_point is not None:
            return
        options = {"nogil": not self._brief, "error_model": "numpy"}
        try:
            found = compile_for(self.python, self._signature, cache_directory(), **options)
        except OSError as error:
            raise _cannot_be_kept(error) from error
        self._dispatcher, entry_point, self._address = found
        self._entry_point = entry_point  # last: other threads look at it


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
