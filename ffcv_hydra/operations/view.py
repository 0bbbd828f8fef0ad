"""The bits of a tensor as another dtype of the same size."""

from collections.abc import Callable
from dataclasses import replace

import torch

from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.tensor_operation import TensorOperation


class View(TensorOperation):
    """Take the bits of a tensor for another dtype of as many bytes.

    Args:
        dtype: of torch.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, None]:
        """The previous state with the dtype."""
        return replace(previous_state, dtype=self.dtype), None

    def generate_code(self) -> Callable[..., torch.Tensor]:
        """A function of the whole batch."""
        dtype = self.dtype
        return lambda batch, _: batch.view(dtype)
