"""Some of a batch's samples, whatever an output looks like."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def rows_of(value: Any, positions: np.ndarray, count: int) -> Any:
    """What an output is of some samples only.

    Args:
        value: an array or tensor (N, ...); a list or tuple with one item per sample; or a mapping, list or tuple
            (named ones too) of such parts. None, numbers, text and arrays without axes belong to the whole batch and
            stay as they are.
        positions: int64, of the samples.
        count: N.

    Raises:
        TypeError: it is something else, or of another length; says what.
    """
    if value is None or isinstance(value, (str, bytes, int, float)):
        return value
    if isinstance(value, (torch.Tensor, np.ndarray)):
        if value.ndim == 0:
            return value
        if len(value) != count:
            raise TypeError(f"an array {tuple(value.shape)} of a batch of {count}")
        is_array = isinstance(value, np.ndarray)
        return value[positions] if is_array else value[torch.from_numpy(positions).to(value.device)]
    if isinstance(value, Mapping):
        return {name: rows_of(part, positions, count) for name, part in value.items()}
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"a {type(value).__name__}")
    is_per_sample = len(value) == count and not all(map(_has_rows(count), value))
    parts = [value[i] for i in positions] if is_per_sample else [rows_of(part, positions, count) for part in value]
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


def _has_rows(count: int) -> Any:
    return lambda part: isinstance(part, (torch.Tensor, np.ndarray)) and part.ndim > 0 and len(part) == count
