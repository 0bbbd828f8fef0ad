"""What is taken from inside numba; a test of each says when a release changes it."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import config, types
from numba.core import caching, sigutils
from numba.core import cgutils as cgutils
from numba.core.compiler_lock import global_compiler_lock as global_compiler_lock
from numba.core.types.abstract import _typecache  # type: ignore[attr-defined]
from numba.np import linalg
from numba.np.numpy_support import as_dtype


def argument_types(signature: Any) -> tuple[Any, ...]:
    """numba's types of the arguments of a signature, which is a string or a type."""
    arguments, _ = sigutils.normalize_signature(signature)
    return tuple(arguments)


def array_arguments(signature: Any) -> list[tuple[int, np.dtype, int]]:
    """Position, dtype and number of dimensions of each argument that is an array."""
    return [
        (position, as_dtype(type_.dtype), type_.ndim)
        for position, type_ in enumerate(argument_types(signature))
        if isinstance(type_, types.Array)
    ]


def compile_for(
    function: Callable[..., Any], signature: Any, folder: Path, **options: Any
) -> tuple[Any, Callable[..., Any], int]:
    """Compile a function for one signature, or load it from a cache folder.

    Args:
        function: to be compiled.
        signature: a string or a type.
        folder: where the code is looked for and kept.
        options: of `numba.njit`.

    Returns:
        What owns the code, its entry point for Python, past numba's choice by argument types, and its address for C.

    Raises:
        OSError: the folder cannot be written.
    """
    with unspoiled_types():
        _load_without_blas()
        previous = config.CACHE_DIR  # type: ignore[attr-defined]
        config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
        try:
            dispatcher: Any = numba.njit(cache=True, **options)(function)
            entry_point = dispatcher.compile(signature)
            (code,) = dispatcher.overloads.values()
            return dispatcher, entry_point, code.library.get_pointer_to_function(code.fndesc.llvm_cfunc_wrapper_name)
        finally:
            config.CACHE_DIR = previous  # type: ignore[attr-defined]


def cache_name(function: Callable[..., Any]) -> str:
    """What the names of numba's files of a function's code begin with."""
    module = function.__module__.rpartition(".")[2]
    return f"{module}.{function.__qualname__}-{function.__code__.co_firstlineno}"


def cached_names(folder: Path) -> set[str]:
    """The `cache_name` of each function whose code a cache folder has."""
    return {file.rsplit(".", 2)[0] for _, _, files in os.walk(folder) for file in files if file.endswith(".nbi")}


def _load_without_blas() -> None:
    """Load the part of numba that looks whether SciPy has a BLAS by loading all of `scipy.linalg`: 0.15 s.

    Whether SciPy is there says as much. Functions that call the BLAS load it when they are compiled, or run.
    """
    if "numba.np.arraymath" in sys.modules:
        return
    ensure_blas = linalg.ensure_blas
    linalg.ensure_blas = _check_scipy
    try:
        import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = ensure_blas


def _check_scipy() -> None:
    if find_spec("scipy") is None:
        raise ImportError("SciPy is not installed")


@contextmanager
def without_writing() -> Iterator[None]:
    """numba takes a cache folder that it cannot write."""
    with global_compiler_lock:
        locator: Any = caching._CacheLocator
        ensure, locator.ensure_cache_path = locator.ensure_cache_path, lambda self: None
        try:
            yield
        finally:
            locator.ensure_cache_path = ensure


def _is_spoiled(type_: Any) -> bool:
    # the name is made with the type, and says what it was made as
    return isinstance(type_, types.Array) and not type_.mutable and not type_.name.startswith("readonly")


@contextmanager
def unspoiled_types() -> Iterator[None]:
    """Array types that were made writeable are writeable inside; no other thread compiles meanwhile.

    numba has one object per type in a process. FFCV's own `Loader` marks some of them as read-only, `uint8[::1]` among
    them, and so spoils them for everybody: kernels that write such arrays no longer compile. FFCV relies on the mark,
    so it is taken off for a moment only, and put back. The mark is part of a type's hash, so nothing that is kept by
    types may be looked up meanwhile: a garbage collection that finds one of FFCV's functions would, when it cleans up
    after it.
    """
    with global_compiler_lock:
        collects = gc.isenabled()
        gc.disable()
        spoiled = [type_ for reference in list(_typecache.values()) if _is_spoiled(type_ := reference())]
        for type_ in spoiled:
            type_.mutable = True
        try:
            yield
        finally:
            for type_ in spoiled:
                type_.mutable = False
            if collects:
                gc.enable()
