"""From arrays to tensors."""

from dataclasses import replace
from typing import Any

import torch

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations.dtypes import torch_dtype
from ffcv_hydra.operations.operation import Layout, State
from ffcv_hydra.operations.tensor_operation import TensorOperation


class ToTensor(TensorOperation):
    """Arrays as tensors of the same dtype and memory; what comes after works on tensors, in whole batches."""

    keeps_levels = True

    def as_layout(self) -> Layout:
        """A tensor of the same memory."""
        return Layout.TENSOR

    def after(self, before: State) -> State:
        """Of torch's dtype.

        Raises:
            PipelineError: it is a tensor already, or torch has no such dtype.
        """
        if isinstance(before.dtype, torch.dtype):
            raise PipelineError("takes arrays, and here is a tensor already; leave it out")
        try:
            return replace(before, jit_mode=False, dtype=torch_dtype(before.dtype))
        except TypeError as error:
            raise PipelineError(f"torch has no dtype for arrays of {before.dtype}") from error

    def apply(self, batch: Any) -> torch.Tensor:
        """The array as a tensor."""
        owner = batch.base  # a loader's batches are tensors as arrays
        return owner if isinstance(owner, torch.Tensor) and owner.shape == batch.shape else torch.from_numpy(batch)
