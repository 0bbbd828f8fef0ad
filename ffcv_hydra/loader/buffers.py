"""Memory of batches: lent for as long as anything refers to it, then used again.

An output may be held as a tensor, a view of it, a NumPy array of it, or a slice of that; only the reference count of
the storage below sees them all. So a buffer is free when the pool holds the storage's only reference. The pool grows
when none is free and never waits. With CUDA, memory comes from PyTorch's pinned allocator instead, which also waits for
copies to the device that are still under way.
"""

import math
import threading
from collections import defaultdict

import torch


class BufferPool:
    """Lends uint8 tensors; safe to use from several threads."""

    def __init__(self, spare: int = 2, pinned: bool = False) -> None:
        self.spare = spare
        self.pinned = pinned
        self._buffers: dict[int, list[torch.Tensor]] = defaultdict(list)
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
        sample_bytes = math.prod(shape) * dtype.itemsize
        if self.pinned or sample_bytes == 0:
            return torch.empty((count, *shape), dtype=dtype, pin_memory=self.pinned and sample_bytes > 0)
        with self._lock:
            buffer = self._free(max(count, capacity) * sample_bytes)
        return buffer[: count * sample_bytes].view(dtype).view(count, *shape)

    def _free(self, size: int) -> torch.Tensor:
        held: list[torch.Tensor] = []
        free: list[torch.Tensor] = []
        for buffer in self._buffers[size]:
            (free if _references(buffer) == _UNSHARED else held).append(buffer)
        chosen = free.pop() if free else torch.empty(size, dtype=torch.uint8)
        self._buffers[size] = [*held, chosen, *free[: self.spare]]
        return chosen

    def allocated(self) -> int:
        """Bytes that the pool holds, lent or free."""
        with self._lock:
            return sum(size * len(buffers) for size, buffers in self._buffers.items())


def _references(buffer: torch.Tensor) -> int:
    return torch._C._storage_Use_Count(buffer.untyped_storage()._cdata)


# what `_references` says of a storage that one tensor alone refers to: in some versions of torch it counts its own look
_UNSHARED = _references(torch.empty(1, dtype=torch.uint8))
