"""Change of dtype."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations.dtypes import any_dtype
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.tensor_operation import TensorOperation


class Convert(TensorOperation):
    """Convert the values of a tensor to another dtype, on any device; after `ToTensor`.

    Args:
        dtype: as a name such as `float16`, or as the dtype of torch or NumPy.
    """

    keeps_levels = True

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.dtype = any_dtype("Convert", "dtype", dtype)

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, None]:
        """The previous state with the new dtype."""
        if previous_state.jit_mode:
            raise PipelineError("takes a tensor: put ToTensor before it")
        return replace(previous_state, dtype=self.dtype), None

    def generate_code(self) -> Callable[..., torch.Tensor]:
        """A function of the whole batch."""
        dtype = self.dtype

        def convert(batch: torch.Tensor, _: None) -> torch.Tensor:
            return batch.to(dtype)

        return convert
