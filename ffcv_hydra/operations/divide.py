"""From bytes to the unit interval."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations.dtypes import floating_dtype
from ffcv_hydra.operations.operation import State
from ffcv_hydra.operations.tensor_operation import TensorOperation


class DivideImage255(TensorOperation):
    """Convert a tensor to a floating dtype and divide it by 255; after `ToTensor`.

    Args:
        dtype: a floating dtype, as its name (`float32`, `float16`, `bfloat16`, `float64`) or as that of torch or NumPy.
    """

    def __init__(self, dtype: Any = torch.float32) -> None:
        super().__init__()
        self.dtype = floating_dtype("DivideImage255", "dtype", dtype)

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, None]:
        """The previous state with the new dtype."""
        if previous_state.jit_mode:
            raise PipelineError("takes a tensor: put ToTensor before it")
        return replace(previous_state, dtype=self.dtype), None

    def as_normalization(self) -> tuple[list[float], list[float]]:
        """Of all channels alike."""
        return [0.0], [255.0]

    def as_table(self, values: torch.Tensor) -> torch.Tensor:
        """What becomes of `values` (256, C), one column per channel."""
        return self.generate_code()(values, None)

    def generate_code(self) -> Callable[..., torch.Tensor]:
        """A function of the whole batch."""
        dtype = self.dtype

        def divide(batch: torch.Tensor, _: None) -> torch.Tensor:
            return batch.to(dtype, copy=True).div_(255)

        return divide
