"""Normalisations whose constants are in another unit than the images: levels of 0 to 255, or shares of 0 to 1."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.loader.plan.plan import Node

_NORMALIZATIONS = ("NormalizeImage", "NormalizeTensor", "Normalize")  # ours, FFCV's, torchvision's
_KEEPING = ("Convert", "Squeeze", "ToDevice", "ToTensor", "ToTorchImage")  # ours and FFCV's


def check_levels(operation: Any, parent: Node | None) -> None:
    """Whether a normalisation can be meant for what it is given; anything else passes, as do images of unknown levels.

    Args:
        operation: as the user gave it.
        parent: what it is given.

    Raises:
        PipelineError: its constants are of images of 0 to 1, and these have levels of 0 to 255, or the reverse.
    """
    name = type(operation).__name__
    if name not in _NORMALIZATIONS or parent is None:
        return
    mean, std = _constants(operation)
    most = _largest_level(parent)
    given = f"{name}: mean {_shown(mean)} and std {_shown(std)} are for images of"
    if most == 255 and max(mean) <= 1 and max(std) <= 0.5:
        raise PipelineError(
            f"{given} 0 to 1, but these have levels of 0 to 255: multiply both by 255, or put DivideImage255 before "
            "NormalizeTensor"
        )
    if most == 1 and min(mean) > 1 and min(std) > 1:
        raise PipelineError(
            f"{given} 0 to 255, but DivideImage255 made these 0 to 1: leave it out, or divide both by 255"
        )


def _constants(operation: Any) -> tuple[list[float], list[float]]:
    """Mean and std, one per channel."""
    if hasattr(operation, "mean"):
        return list(operation.mean), list(operation.std)
    table = operation.lookup_table.view(operation.original_dtype).astype(np.float64)  # FFCV keeps nothing else
    std = 255 / (table[255] - table[0])
    return list(-table[0] * std), list(std)


def _largest_level(node: Node | None) -> int | None:
    """255 or 1, as far as that is known of what a node gives."""
    if node is None:
        return None
    dtype = node.state.dtype
    if dtype == torch.uint8 if isinstance(dtype, torch.dtype) else np.dtype(dtype) == np.uint8:
        return 255
    name = type(node.operation).__name__
    if name == "DivideImage255":
        return 1 if _largest_level(node.parent) == 255 else None
    return _largest_level(node.parent) if name in _KEEPING else None


def _shown(values: Sequence[float]) -> str:
    return f"[{', '.join(f'{value:.4g}' for value in values)}]"
