"""Code that operations give for whole batches: compiled where they say so, and run by one thread at a time.

numba's thread pool belongs to the process and its default layer must not be entered by two threads at once, hence one
lock for all loaders. The options of the compiler are FFCV's, whose operations count on them.
"""

import os
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import numba
import numpy as np

from ffcv_hydra.errors import LoaderError
from ffcv_hydra.operations import Operation

_LOCK = threading.RLock()


_has_parents_threads = False  # whether numba believes to have threads that are those of the process we were forked by


def _begin_in_child() -> None:
    """A thread that held the lock is the parent's."""
    global _LOCK, _has_parents_threads
    _LOCK = threading.RLock()
    with suppress(ValueError):  # its threads were never begun
        _has_parents_threads = numba.threading_layer() == "omp"


os.register_at_fork(after_in_child=_begin_in_child)


def usable_threads(num_workers: int) -> int:
    """How many of numba's threads `num_workers` may use: never more than its pool has."""
    pool = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    return max(1, min(num_workers, pool))


def read_pointer(address: Any, state: Any) -> Any:
    """FFCV's `memory_read`, to be compiled: the bytes at a pointer of the file.

    Args:
        address: uint64, a pointer from the metadata.
        state: (uint8 data, uint64 sorted pointers, their sizes, where in `data` each begins).
    """
    position = np.searchsorted(state[1], address)
    begin = state[3][position]
    return state[0][begin : begin + state[2][position]]


def compiled_memory_read() -> Callable[..., Any]:
    """What compiled decoders call to get at stored bytes."""
    return _compiled(read_pointer, 1)


def _compiled(function: Callable[..., Any], num_threads: int) -> Callable[..., Any]:
    parallel = getattr(function, "is_parallel", False) and num_threads > 1
    return numba.njit(fastmath=True, nogil=True, error_model="numpy", parallel=parallel)(function)


class BatchCode:
    """The code of one operation, generated and compiled at the first call."""

    def __init__(self, operation: Operation, jitted: bool, decodes: bool) -> None:
        self._operation = operation
        self._jitted = jitted
        self._decodes = decodes
        self._code: Callable[..., Any] | None = None
        self._prepare_shared: Callable[..., Any] | None = None
        self._with_indices = False

    def _generate(self) -> None:
        if self._jitted and _has_parents_threads:
            raise LoaderError(
                f"{self._operation.name} is compiled by numba, whose OpenMP threads end a process that was "
                "forked beside them: start it by 'spawn', or set NUMBA_THREADING_LAYER=workqueue"
            )
        with _LOCK:  # operations of FFCV's kind set what belongs to the process while they make their code
            code = self._operation.generate_code()
            prepare = self._operation.generate_code_for_shared_state()
            self._with_indices = getattr(code, "with_indices", False)
            if self._jitted:
                threads = self._operation.num_threads
                code, prepare = _compiled(code, threads), None if prepare is None else _compiled(prepare, threads)
        self._prepare_shared = prepare
        self._code = code

    def __call__(
        self, source: Any, memory: Any, shared: Any, samples: np.ndarray, metadata: np.ndarray | None, state: Any
    ) -> Any:
        """Run on a batch.

        Args:
            source: what the operation before gave; unused by a decoder.
            memory: what the operation's `AllocationQuery` asked for, or None.
            shared: the same of `declare_shared_memory`.
            samples: int64 (N,), the batch's ids.
            metadata: the field's column; only for a decoder.
            state: what `read_pointer` takes; only for a decoder.
        """
        with _LOCK if self._jitted else nullcontext():
            if self._code is None:
                self._generate()
            assert self._code is not None
            if self._jitted:
                numba.set_num_threads(self._operation.num_threads)
            arguments = [samples, memory, metadata, state] if self._decodes else [source, memory]
            if self._with_indices:
                arguments.append(samples)
            if self._prepare_shared is not None:
                self._prepare_shared(shared)
                arguments.append(shared)
            return self._code(*arguments)
