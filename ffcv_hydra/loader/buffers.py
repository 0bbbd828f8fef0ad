"""Memory of batches: lent for as long as anything refers to it, then used again.

An output may be held as a tensor, a view of it, a NumPy array of it, or a slice of that; only the reference count of
the storage below sees them all. So a buffer is free when the pool holds the storage's only reference. The pool grows
when none is free and never waits. With CUDA, memory comes from PyTorch's pinned allocator instead, which also waits for
copies to the device that are still under way.
"""

import threading
from collections import defaultdict

import torch

_Kind = tuple[int, tuple[int, ...], torch.dtype]  # capacity, and shape and dtype of one sample


class BufferPool:
    """Lends tensors; safe to use from several threads."""

    def __init__(self, spare: int = 2, pinned: bool = False) -> None:
        self.spare = spare
        self.pinned = pinned
        self._buffers: dict[_Kind, list[torch.Tensor]] = defaultdict(list)
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
        with self._lock:
            return self._free((max(count, capacity), shape, dtype))[:count]

    def _free(self, kind: _Kind) -> torch.Tensor:
        held: list[torch.Tensor] = []
        free: list[torch.Tensor] = []
        for buffer in self._buffers[kind]:
            (free if _references(buffer) == _UNSHARED else held).append(buffer)
        capacity, shape, dtype = kind
        chosen = free.pop() if free else torch.empty((capacity, *shape), dtype=dtype)
        self._buffers[kind] = [*held, chosen, *free[: self.spare]]
        return chosen

    def allocated(self) -> int:
        """Bytes that the pool holds, lent or free."""
        with self._lock:
            return sum(buffer.nbytes for buffers in self._buffers.values() for buffer in buffers)


def _references(buffer: torch.Tensor) -> int:
    return torch._C._storage_Use_Count(buffer.untyped_storage()._cdata)


# what `_references` says of a storage that one tensor alone refers to: in some versions of torch it counts its own look
_UNSHARED = _references(torch.empty(1, dtype=torch.uint8))
