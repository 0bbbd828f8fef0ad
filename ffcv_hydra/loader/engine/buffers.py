"""Memory of batches: lent for as long as anything refers to it, then used again.

An output may be held as a tensor, a view of it, a NumPy array of it, or a slice of that; only the reference count of
the storage below sees them all. So a buffer is free when the pool holds the storage's only reference. Other processes'
references are not counted: memory that is shared with them is left to them. The pool grows when none is free and never
waits. With CUDA, memory comes from PyTorch's pinned allocator instead, which also waits for
copies to the device that are still under way.
"""

import math
import mmap
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch

from ffcv_hydra.operations.dtypes import torch_dtype
from ffcv_hydra.operations.operation import AllocationQuery
from ffcv_hydra.torch_internals import references_to, storage_of

_HUGE_PAGE = 1 << 21  # bytes, of Linux on most machines

_Form = Callable[[torch.Tensor], torch.Tensor]


class _Buffer:
    """A tensor, and how many refer to its storage."""

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.tensor = torch.empty(shape, dtype=dtype)
        self._storage = storage_of(self.tensor)
        self._unshared = self._references()

    def _references(self) -> int:
        return references_to(self._storage)

    def is_free(self) -> bool:
        """Whether nothing but this refers to the storage."""
        return self._references() == self._unshared

    def is_lost(self) -> bool:
        """Whether the memory is no more what it was, whoever refers to it here.

        A tensor that is sent to another process is moved to memory that both share, in place; nobody can tell when the
        other one has read it. And who holds a storage may change its size.
        """
        storage = self.tensor.untyped_storage()
        return storage.is_shared() or storage.nbytes() != self.tensor.nbytes


class _FormedBuffer(_Buffer):
    """A tensor whose memory is lent in a form, by way of a NumPy array: its references are those to the memory.

    torch lets go of the GIL in each of its functions but `from_numpy`, and to get it back takes as long as to load some
    small images.
    """

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype, form: _Form) -> None:
        self.tensor = _on_huge_pages(shape, dtype)
        self.array = self.tensor.numpy()
        self._shown = form(self.tensor).numpy()
        self._unshared = self._references()

    def _references(self) -> int:
        return sys.getrefcount(self._shown)

    def is_lost(self) -> bool:
        """Never: what is lent has a storage of its own, which cannot be resized, and which sending it moves alone."""
        return False

    def lend(self) -> tuple[np.ndarray, torch.Tensor]:
        """The array to be written, and the form of it to be given away."""
        return self.array, torch.from_numpy(self._shown)


def _on_huge_pages(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Memory whose pages are found faster, where the system has larger ones; uninitialised."""
    num_bytes = math.prod(shape) * dtype.itemsize
    if num_bytes >= _HUGE_PAGE // 2 and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # the kernel has none, or there is no memory, which torch tells about
            memory = mmap.mmap(-1, num_bytes + -num_bytes % _HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            memory.madvise(mmap.MADV_HUGEPAGE)
            return torch.frombuffer(memory, dtype=dtype, count=math.prod(shape)).view(shape)
    return torch.empty(shape, dtype=dtype)


class BufferPool:
    """Lends tensors; safe to use from several threads."""

    def __init__(self, spare: int = 2, pinned: bool = False) -> None:
        self.spare = spare
        self.pinned = pinned
        self._buffers: dict[tuple[Any, ...], list[_Buffer]] = defaultdict(list)
        self._lock = threading.Lock()

    def take(self, count: int, capacity: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Memory of a batch, uninitialised, whose storage nobody else refers to.

        Args:
            count: samples in this batch.
            capacity: samples in the largest batch, so that a short one needs no memory of its own.
            shape, dtype: of one sample.

        Returns:
            Tensor (count, *shape).
        """
        if self.pinned or 0 in shape:
            return torch.empty((count, *shape), dtype=dtype, pin_memory=self.pinned and 0 not in shape)
        capacity = max(count, capacity)
        with self._lock:
            return self._free((capacity, shape, dtype), _Buffer).tensor[:count]

    def take_formed(
        self, count: int, capacity: int, shape: tuple[int, ...], dtype: torch.dtype, form: _Form
    ) -> tuple[np.ndarray, torch.Tensor]:
        """The array of what `take` gives, and what `form` makes of that, whose memory is the same."""
        if self.pinned or 0 in shape or count < capacity:
            tensor = self.take(count, capacity, shape, dtype)
            return tensor.numpy(), form(tensor)
        with self._lock:
            make = partial(_FormedBuffer, form=form)
            return self._free((count, shape, dtype, form), make).lend()

    def _free(self, kind: tuple[Any, ...], make: Callable[[tuple[int, ...], torch.dtype], Any]) -> Any:
        """A free buffer of a kind: capacity, shape and dtype of one sample, and the form if there is one."""
        known = self._buffers[kind]
        free = [buffer for buffer in known if buffer.is_free()]
        while free and free[0].is_lost():
            known.remove(free.pop(0))
        if not free:
            capacity, shape, dtype = kind[:3]
            known.append(make((capacity, *shape), dtype))
            return known[-1]
        for unneeded in free[self.spare + 1 :]:
            known.remove(unneeded)
        return free[0]

    def allocated(self) -> int:
        """Bytes that the pool holds, lent or free."""
        with self._lock:
            return sum(buffer.tensor.nbytes for buffers in self._buffers.values() for buffer in buffers)


def allocator(query: Any, pool: BufferPool, batch_size: int) -> Callable[[int], Any]:
    """What gives the memory that an operation's `AllocationQuery`s ask for, for a number of samples.

    Args:
        query: one, several, or None.
        pool: that lends it.
        batch_size: the largest number of samples.
    """
    if query is None:
        return lambda count: None
    if not isinstance(query, AllocationQuery):
        parts = [allocator(part, pool, batch_size) for part in query]
        return lambda count: tuple(part(count) for part in parts)
    dtype, shape = torch_dtype(query.dtype), tuple(int(side) for side in query.shape)
    if query.device is not None and torch.device(query.device).type != "cpu":
        return lambda count: torch.empty((count, *shape), dtype=dtype, device=query.device)
    if isinstance(query.dtype, torch.dtype):
        return lambda count: pool.take(count, batch_size, shape, dtype)
    return lambda count: pool.take(count, batch_size, shape, dtype).numpy()
