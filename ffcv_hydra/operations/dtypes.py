"""Dtypes as configs and users name them."""

from typing import Any

import numpy as np
import torch

from ffcv_hydra.errors import PipelineError


def any_dtype(operation: str, argument: str, dtype: Any) -> torch.dtype:
    """The torch dtype of a name, or of a dtype of torch or NumPy.

    Raises:
        PipelineError: there is none.
    """
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype):
        try:
            found = torch.from_numpy(np.empty(0, dtype=found)).dtype if found is not None else None
        except TypeError:
            found = None
    if found is None:
        raise PipelineError(f"{operation}: {argument} is a torch dtype such as float32; got {dtype}")
    return found


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
