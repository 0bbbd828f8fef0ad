"""From bytes to the unit interval."""

from collections.abc import Callable
from dataclasses import replace

import torch
from ffcv.pipeline.operation import Operation
from ffcv.pipeline.state import State

from ffcv_hydra.errors import PipelineError


class DivideImage255(Operation):
    """Convert a tensor to a floating dtype and divide it by 255; after `ToTensor`.

    Args:
        dtype: a torch floating dtype, or its name (`float32`, `float16`, `bfloat16`, `float64`).
    """

    def __init__(self, dtype: torch.dtype | str = torch.float32) -> None:
        super().__init__()
        found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
        if not isinstance(found, torch.dtype) or not found.is_floating_point:
            raise PipelineError(f"DivideImage255: dtype is a floating torch dtype such as float32; got {dtype}")
        self.dtype = found

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, None]:
        """The previous state with the new dtype."""
        if previous_state.jit_mode:
            raise PipelineError("DivideImage255 takes a tensor: put ToTensor before it")
        return replace(previous_state, dtype=self.dtype), None

    def generate_code(self) -> Callable[..., torch.Tensor]:
        """A function of the whole batch."""
        dtype = self.dtype

        def divide(batch: torch.Tensor, _: None) -> torch.Tensor:
            return batch.to(dtype, copy=True).div_(255)

        return divide
