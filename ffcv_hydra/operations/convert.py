"""Tensors as other dtypes: converted, divided by 255, or of the same bits."""

from dataclasses import replace
from typing import Any

import torch

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations.dtypes import any_dtype, floating_dtype
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.tensor_operation import TensorOperation, check_is_tensor


class _ToDtype(TensorOperation):
    """Base: tensors of another dtype."""

    dtype: torch.dtype

    def after(self, before: State) -> State:
        """Of the new dtype."""
        check_is_tensor(before)
        return replace(before, dtype=self.dtype)


class Convert(_ToDtype):
    """Convert the values of a tensor to another dtype, on any device; after `ToTensor`.

    Args:
        dtype: as a name such as `float16`, or as the dtype of torch or NumPy.
    """

    keeps_levels = True

    def __init__(self, dtype: Any) -> None:
        self.dtype = any_dtype("Convert", "dtype", dtype)

    def as_table(self, values: torch.Tensor) -> torch.Tensor:
        """What becomes of `values` (256, C)."""
        return self.apply(values)

    def apply(self, batch: torch.Tensor) -> torch.Tensor:
        """The batch of that dtype."""
        return batch.to(self.dtype)


class DivideImage255(_ToDtype):
    """Convert a tensor to a floating dtype and divide it by 255; after `ToTensor`.

    Args:
        dtype: a floating dtype, as its name (`float32`, `float16`, `bfloat16`, `float64`) or as that of torch or NumPy.
    """

    def __init__(self, dtype: Any = torch.float32) -> None:
        self.dtype = floating_dtype("DivideImage255", "dtype", dtype)

    def after(self, before: State) -> State:
        """Of the new dtype.

        Raises:
            PipelineError: these are arrays, or numbers that were stored with 16 bits, which are no levels of 0 to 255.
        """
        after = super().after(before)
        stored = str(getattr(self.field, "dtype", None))
        if stored in ("int16", "uint16") and not before.dtype.is_floating_point:
            raise PipelineError(f"is for values of 0 to 255, the field's are {stored}: use NormalizeImage(mean, std)")
        return after

    def as_normalization(self) -> tuple[list[float], list[float]]:
        """Of all channels alike."""
        return [0.0], [255.0]

    def as_table(self, values: torch.Tensor) -> torch.Tensor:
        """What becomes of `values` (256, C), one column per channel."""
        return self.apply(values)

    def apply(self, batch: torch.Tensor) -> torch.Tensor:
        """The batch from 0 to 1."""
        return batch.to(self.dtype, copy=True).div_(255)


class View(_ToDtype):
    """Take the bits of a tensor for another dtype of as many bytes.

    Args:
        dtype: of torch.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def apply(self, batch: torch.Tensor) -> torch.Tensor:
        """The batch as that dtype."""
        return batch.view(self.dtype)
