"""From arrays to tensors."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations.operation import Layout, State
from ffcv_hydra.operations.tensor_operation import TensorOperation


class ToTensor(TensorOperation):
    """Arrays as tensors of the same dtype and memory; what comes after works on tensors, in whole batches."""

    keeps_levels = True

    def as_layout(self) -> Layout:
        """A tensor of the same memory."""
        return Layout.TENSOR

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, None]:
        """The previous state with torch's dtype.

        Raises:
            PipelineError: it is a tensor already, or torch has no such dtype.
        """
        if not previous_state.jit_mode:
            raise PipelineError("takes arrays, and here is a tensor already; leave it out")
        try:
            dtype = torch.from_numpy(np.empty(0, dtype=previous_state.dtype)).dtype
        except TypeError as error:
            raise PipelineError(f"torch has no dtype for arrays of {previous_state.dtype}") from error
        return replace(previous_state, jit_mode=False, dtype=dtype), None

    def generate_code(self) -> Callable[..., torch.Tensor]:
        """A function of the whole batch."""

        def to_tensor(batch: np.ndarray, _: None) -> torch.Tensor:
            owner = batch.base  # a loader's batches are tensors as arrays
            return owner if isinstance(owner, torch.Tensor) and owner.shape == batch.shape else torch.from_numpy(batch)

        return to_tensor
