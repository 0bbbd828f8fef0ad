"""What is in a batch, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Output:
    """One output of a pipeline.

    Attributes:
        dtype: its name; None for what is neither a tensor nor an array.
        shape: of one sample.
        views: how many there are of each sample; None for one that is no list.
        is_padded: whether samples differ in length.
    """

    dtype: str | None
    shape: tuple[int, ...] = ()
    views: int | None = None
    is_padded: bool = False

    def __str__(self) -> str:
        shown = f"{self.dtype} {self.shape if self.shape else '()'}"
        return shown if self.views is None else f"{self.views} views of {shown}"


def output_of(value: Any) -> Output:
    """Describe the batch `value` of an output: a tensor or array (N, ...), a list of views, or what is padded."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return Output(str(value.dtype).removeprefix("torch."), tuple(value.shape[1:]))
    if isinstance(value, list) and value:
        first = output_of(value[0])
        return Output(first.dtype, first.shape, len(value), first.is_padded)
    if hasattr(value, "lengths"):
        return Output(output_of(value.data).dtype, output_of(value.data).shape, is_padded=True)
    return Output(None)


def describe(batch: Any, names: Sequence[str] | None = None) -> str:
    """What a batch holds: `image uint8 (16, 3, 32, 32), label int64 (16, 1)`."""
    if isinstance(batch, dict):
        names, batch = [str(name) for name in batch], list(batch.values())
    if not isinstance(batch, list | tuple):
        return _shown(batch)
    if names is None or len(names) != len(batch):
        names = [f"[{place}]" for place in range(len(batch))]
    return ", ".join(f"{name} {_shown(value)}" for name, value in zip(names, batch, strict=True))


def _shown(value: Any) -> str:
    if isinstance(value, torch.Tensor | np.ndarray):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {', '.join(_shown(item) for item in value)}"
    return type(value).__name__
