"""Torch, asked about without loading it, which takes longer than converting some thousand images.

Who has not loaded it has no tensors, no datasets of its classes and no generator to seed.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    import torch


def loaded_torch() -> ModuleType | None:
    """The module, if somebody has imported it."""
    return sys.modules.get("torch")


def is_tensor(value: Any) -> "TypeGuard[torch.Tensor]":
    """Whether `value` is a tensor."""
    torch = loaded_torch()
    return torch is not None and isinstance(value, torch.Tensor)


def tv_tensor_kind(value: Any) -> str | None:
    """The name of `value`'s class if it is one of torchvision's `tv_tensors`, as `BoundingBoxes`."""
    tv_tensors = sys.modules.get("torchvision.tv_tensors")
    return type(value).__name__ if tv_tensors and isinstance(value, tv_tensors.TVTensor) else None


def bytes_of(tensor: "torch.Tensor") -> bytes:
    """What a dense tensor holds."""
    import torch

    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def use_one_thread() -> None:
    """Keep torch to one thread, in a process that others of its kind share the cores with."""
    if torch := loaded_torch():
        torch.set_num_threads(1)
