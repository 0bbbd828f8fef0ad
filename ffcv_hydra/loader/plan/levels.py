"""Normalisations whose constants are in another unit than the images: levels of 0 to 255, or shares of 0 to 1.

What a torch module makes of levels is found out by trying.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader.plan.modules import generators_seeded
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.plan import Picture
from ffcv_hydra.loader.plan.request import naming
from ffcv_hydra.loader.plan.torch_module import TorchModule
from ffcv_hydra.operations.dtypes import torch_dtype
from ffcv_hydra.operations.operation import Operation, State


def check_levels(node: Node) -> None:
    """Whether a normalisation can be meant for what it is given; anything else passes, as do images of unknown levels.

    Raises:
        PipelineError: its constants are of images of 0 to 1, and these have levels of 0 to 255, or the reverse.
    """
    if node.operation.as_normalization() is None:
        return
    with naming(node.output):
        _check(node.operation, largest_level(node.parent))


def behind_modules(modules: Sequence[nn.Module], picture: Picture) -> Picture:
    """What is known of an output's levels behind modules that are run on it; raises as `check_levels`."""
    state, level = replace(picture.state, dtype=torch_dtype(picture.state.dtype)), picture.level
    operations = [TorchModule(module) for module in modules]
    for operation in operations:
        _check(operation, level)
        level, state = _tried(operation.module, level, replace(state, device=torch.device("cpu")))
    shifted = picture.is_normalized or any(map(_shifts, operations))
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
    level, operation = largest_level(node.parent), node.operation
    if level is None or node.parent is None:
        return None
    if isinstance(operation, TorchModule):
        return _tried(operation.module, level, node.parent.state)[0]
    if (constants := operation.as_normalization()) is not None:
        mean, std = constants
        return None if any(mean) or len(set(std)) > 1 else _known_level(level / std[0])
    return level if operation.keeps_levels else None


def _known_level(level: float) -> int | None:
    return next((known for known in (1, 255) if math.isclose(level, known, rel_tol=0.01)), None)


def _shifts(operation: Operation) -> bool:
    constants = operation.as_normalization()
    return constants is not None and any(constants[0])


def _check(operation: Operation, level: int | None) -> None:
    constants = operation.as_normalization()
    if level is None or constants is None:
        return
    mean, std = constants
    if (min(mean) > 1 and max(std) <= 0.5) or (min(mean) > 0 and max(mean) < 1 < min(std)):
        of_mean, of_std = (255, 1) if min(mean) > 1 else (1, 255)
        raise PipelineError(
            f"{operation.name}: mean {_shown(mean)} is for images of 0 to {of_mean}, and std {_shown(std)} for images "
            f"of 0 to {of_std}: give both for one of them"
        )
    given = f"{operation.name}: mean {_shown(mean)} and std {_shown(std)} are for images of"
    if level == 255 and max(mean) <= 1 and max(std) <= 0.5:
        raise PipelineError(
            f"{given} 0 to 1, but these have levels of 0 to 255: multiply both by 255, or put DivideImage255 before "
            "NormalizeTensor"
        )
    if level == 1 and min(mean) > 1 and min(std) > 1:
        raise PipelineError(
            f"{given} 0 to 255, but these are 0 to 1: divide both by 255, or leave out what scales the images before"
        )


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
