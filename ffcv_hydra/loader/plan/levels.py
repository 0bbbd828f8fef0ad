"""Normalisations whose constants are in another unit than the images: levels of 0 to 255, or shares of 0 to 1.

What a torch module makes of levels is found out by trying.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader.plan.modules import generators_seeded
from ffcv_hydra.loader.plan.plan import Node, Picture, torch_dtype
from ffcv_hydra.operations.operation import Operation, State

_KNOWN = ("ffcv", "ffcv_hydra", "torchvision")  # of others, what a name means is not known
_NORMALIZATIONS = frozenset({"NormalizeImage", "NormalizeTensor", "Normalize"})
_KEEPING = frozenset({"Convert", "Squeeze", "ToDevice", "ToTensor", "ToTorchImage"})


def check_levels(operation: Any, parent: Node | None) -> None:
    """Whether a normalisation can be meant for what it is given; anything else passes, as do images of unknown levels.

    Args:
        operation: as the user gave it.
        parent: what it is given.

    Raises:
        PipelineError: its constants are of images of 0 to 1, and these have levels of 0 to 255, or the reverse.
    """
    if parent is not None and _name(operation) in _NORMALIZATIONS:
        _check(operation, largest_level(parent))


def behind_modules(modules: Sequence[nn.Module], picture: Picture) -> Picture:
    """What is known of an output's levels behind modules that are run on it; raises as `check_levels`."""
    state, level = replace(picture.state, dtype=torch_dtype(picture.state.dtype)), picture.level
    for module in modules:
        if _name(module) in _NORMALIZATIONS:
            _check(module, level)
        level, state = _tried(module, level, replace(state, device=torch.device("cpu")))
    shifted = picture.is_normalized or any(map(_shifts, modules))
    return replace(picture, state=state, level=level, is_normalized=shifted)


def is_normalized(node: Node | None) -> bool:
    """Whether one of the operations up to a node subtracts a mean."""
    return node is not None and (_shifts(node.operation) or is_normalized(node.parent))


def largest_level(node: Node | None) -> int | None:
    """255 or 1, as far as that is known of what a node gives."""
    if node is None:
        return None
    dtype = node.state.dtype
    if dtype == torch.uint8 if isinstance(dtype, torch.dtype) else np.dtype(dtype) == np.uint8:
        return 255
    level, name = largest_level(node.parent), _name(node.operation)
    if level is None or node.parent is None:
        return None
    if isinstance(node.operation, nn.Module):
        return _tried(node.operation, level, node.parent.state)[0]
    if name in _NORMALIZATIONS:
        mean, std = _constants(node.operation)
        return None if any(mean) or len(set(std)) > 1 else _known_level(level / std[0])
    return _known_level(level / 255) if name == "DivideImage255" else level if name in _KEEPING else None


def _known_level(level: float) -> int | None:
    return next((known for known in (1, 255) if math.isclose(level, known, rel_tol=0.01)), None)


def _shifts(operation: Any) -> bool:
    return _name(operation) in _NORMALIZATIONS and any(_constants(operation)[0])


def _name(operation: Any) -> str | None:
    """Of an operation or module of ours, FFCV's or torchvision's; None of others."""
    is_operation = isinstance(operation, Operation)
    full_name = operation.full_name if is_operation else f"{type(operation).__module__}.{type(operation).__name__}"
    return full_name.rpartition(".")[2] if full_name.split(".")[0] in _KNOWN else None


def _check(operation: Any, level: int | None) -> None:
    mean, std = _constants(operation)
    given = f"{_name(operation)}: mean {_shown(mean)} and std {_shown(std)} are for images of"
    if level == 255 and max(mean) <= 1 and max(std) <= 0.5:
        raise PipelineError(
            f"{given} 0 to 1, but these have levels of 0 to 255: multiply both by 255, or put DivideImage255 before "
            "NormalizeTensor"
        )
    if level == 1 and min(mean) > 1 and min(std) > 1:
        raise PipelineError(
            f"{given} 0 to 255, but these are 0 to 1: divide both by 255, or leave out what scales the images before"
        )


def _constants(operation: Any) -> tuple[list[float], list[float]]:
    """Mean and std, one per channel."""
    if hasattr(operation, "mean"):
        mean, std = (np.atleast_1d(np.asarray(values, np.float64)) for values in (operation.mean, operation.std))
        return mean.tolist(), std.tolist()
    table = operation.lookup_table.view(operation.original_dtype).astype(np.float64)  # FFCV keeps nothing else
    std = 255 / (table[255] - table[0])
    return list(-table[0] * std), list(std)


def _tried(module: nn.Module, level: int | None, state: State) -> tuple[int | None, State]:
    """The level that a module makes of one, 255 or 1 or None, and the state behind it, as long as one is known."""
    if level is None:
        return None, state
    try:
        device = torch.device(state.device)
        with torch.no_grad(), generators_seeded(device, 0):
            result = module(torch.full((2, *state.shape), level, dtype=state.dtype, device=device))
            return _known_level(float(result.max())), replace(state, shape=tuple(result.shape[1:]), dtype=result.dtype)
    except Exception:  # on another device, or among others, it may work
        return None, state


def _shown(values: Sequence[float]) -> str:
    return f"[{', '.join(f'{value:.4g}' for value in values)}]"
