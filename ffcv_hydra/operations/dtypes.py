"""Dtypes as configs and users name them, and as torch has them."""

import functools
from typing import Any

import numpy as np
import torch

from ffcv_hydra.errors import PipelineError


@functools.cache
def torch_dtype(dtype: Any) -> torch.dtype:
    """The torch dtype of a NumPy or torch dtype; raises `TypeError` where torch has none."""
    return dtype if isinstance(dtype, torch.dtype) else torch.from_numpy(np.empty(0, dtype=dtype)).dtype


def any_dtype(operation: str, argument: str, dtype: Any) -> torch.dtype:
    """The torch dtype of a name, or of a dtype of torch or NumPy.

    Raises:
        PipelineError: there is none.
    """
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    try:
        if found is not None:
            return torch_dtype(found)
    except TypeError:
        pass
    raise PipelineError(f"{operation}: {argument} is a torch dtype such as float32; got {dtype}")


def floating_dtype(operation: str, argument: str, dtype: Any) -> torch.dtype:
    """The floating torch dtype of a name, or of a dtype of torch or NumPy.

    Raises:
        PipelineError: there is none.
    """
    try:
        found = any_dtype(operation, argument, dtype)
    except PipelineError:
        found = torch.bool
    if not found.is_floating_point:
        raise PipelineError(f"{operation}: {argument} is a floating torch dtype such as float32; got {dtype}")
    return found
