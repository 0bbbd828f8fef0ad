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


class _Buffer:
    """A tensor, and how many refer to its storage."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        self._storage = tensor.untyped_storage()._cdata  # the address, which is good for as long as the tensor is there
        self._unshared = self._references()

    def _references(self) -> int:
        return torch._C._storage_Use_Count(self._storage)

    def is_free(self) -> bool:
        """Whether nothing but this refers to the storage; in some versions of torch the count includes the look."""
        return self._references() == self._unshared


class BufferPool:
    """Lends tensors; safe to use from several threads."""

    def __init__(self, spare: int = 2, pinned: bool = False) -> None:
        self.spare = spare
        self.pinned = pinned
        self._buffers: dict[_Kind, list[_Buffer]] = defaultdict(list)
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
            tensor = self._free((max(count, capacity), shape, dtype))
            return tensor.detach() if count >= capacity else tensor[:count]  # neither is `tensor` itself

    def _free(self, kind: _Kind) -> torch.Tensor:
        known = self._buffers[kind]
        free = [buffer for buffer in known if buffer.is_free()]
        if not free:
            capacity, shape, dtype = kind
            known.append(_Buffer(torch.empty((capacity, *shape), dtype=dtype)))
            return known[-1].tensor
        for unneeded in free[self.spare + 1 :]:
            known.remove(unneeded)
        return free[0].tensor

    def allocated(self) -> int:
        """Bytes that the pool holds, lent or free."""
        with self._lock:
            return sum(buffer.tensor.nbytes for buffers in self._buffers.values() for buffer in buffers)
