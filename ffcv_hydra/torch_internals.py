"""What is taken from inside torch; a test of each says when a release changes it."""

import functools
import re

import torch


def storage_of(tensor: torch.Tensor) -> int:
    """The address of what holds a tensor's memory; good for as long as the tensor is there."""
    return tensor.untyped_storage()._cdata


def references_to(storage: int) -> int:
    """How many tensors and others refer to a storage; in some versions of torch the count includes the look."""
    return torch._C._storage_Use_Count(storage)


def refused_class(error: Exception) -> str:
    """The class that `torch.load` does not take, by its name in the message."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return found[1] if found else "an object"


def can_pin() -> bool:
    """Whether there is pinned memory: with a GPU, unless this process was forked by one that used it already."""
    return torch.cuda.is_available() and not torch.cuda._is_in_bad_fork()


def is_of_memory(error: Exception) -> bool:
    """Whether there is not enough memory, which torch says by a RuntimeError of its allocator."""
    return isinstance(error, MemoryError) or "alloc" in str(error)


def store_of_ranks() -> torch.distributed.Store | None:
    """Where the ranks can leave words for each other; None if they do not know of each other yet.

    Those that `torchrun` has started do so before they are a process group.
    """
    if not torch.distributed.is_available():
        return None
    if torch.distributed.is_initialized():
        return torch.distributed.distributed_c10d._get_default_store()
    return _store_of_torchrun() if torch.distributed.is_torchelastic_launched() else None


@functools.cache
def _store_of_torchrun() -> torch.distributed.Store:
    store: torch.distributed.Store = next(torch.distributed.rendezvous("env://"))[0]
    return store  # kept, for rank 0 may be the one that serves it


def leave_ranks() -> None:
    """At the end of a process whose work is done, leave the ranks it is one of, with the threads that serve them.

    A thread of gloo's that lets go of its last tensor while the interpreter ends aborts the process
    (https://github.com/pytorch/pytorch/issues/190489); on a loaded machine that happens.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
