"""The package's operations that are a function of a whole tensor, or make one."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch

from ffcv_hydra.errors import PipelineError
from ffcv_hydra.operations.operation import Operation, State


class TensorOperation(Operation):
    """Base of what leaves pixels where they are, and needs no memory of its own."""

    geometric = False

    def after(self, before: State) -> State:
        """The state after it, of one before it.

        Raises:
            PipelineError: it does not take that.
        """
        return before

    @abstractmethod
    def apply(self, batch: torch.Tensor) -> Any:
        """What it makes of a batch."""

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, None]:
        """The state `after` it.

        Raises:
            PipelineError: it does not take that.
        """
        return self.after(previous_state), None

    def generate_code(self) -> Callable[..., Any]:
        """`apply`, as a function of the batch and of no memory."""
        return lambda batch, _: self.apply(batch)


def check_is_tensor(before: State) -> None:
    """Raise `PipelineError` for an array."""
    if before.jit_mode:
        raise PipelineError("takes a tensor: put ToTensor before it")
