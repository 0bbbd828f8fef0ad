"""Torch modules as operations: the one place that knows that they are none."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ffcv_hydra.errors import PipelineError, describe_error
from ffcv_hydra.loader.plan.modules import Probe, probe, run_per_sample
from ffcv_hydra.operations.operation import Operation, State


class TorchModule(Operation):
    """A user's torch module, as it is: what is changed in it between two epochs is seen.

    Attributes:
        module: the user's.
        found: what a dry run showed, once it is declared.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.found: Probe | None = None

    @property
    def name(self) -> str:
        """The module's class, which messages name."""
        return type(self.module).__name__

    @property
    def full_name(self) -> str:
        """The module's class with its module."""
        return f"{type(self.module).__module__}.{self.name}"

    @property
    def random(self) -> bool:  # type: ignore[override]
        """Whether it drew from a global generator in the dry run."""
        return self.found is not None and self.found.random

    @property
    def geometric(self) -> bool | None:  # type: ignore[override]
        """What the module says."""
        return getattr(self.module, "geometric", None)

    def arguments(self) -> Mapping[str, Any]:
        """The module's attributes."""
        return vars(self.module)

    def as_normalization(self) -> tuple[list[float], list[float]] | None:
        """Mean and std of torchvision's `Normalize`; of others, what a name means is not known."""
        if self.name != "Normalize" or not self.full_name.startswith("torchvision."):
            return None
        mean, std = (np.atleast_1d(np.asarray(values, np.float64)) for values in (self.module.mean, self.module.std))
        return mean.tolist(), std.tolist()

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, None]:
        """The state that a dry run shows.

        Raises:
            PipelineError: it is given an array, or fails.
        """
        shape, dtype = previous_state.shape, previous_state.dtype
        if not isinstance(dtype, torch.dtype):
            raise PipelineError("a torch module takes a tensor; put ToTensor before it")
        try:
            self.found = probe(self.module, tuple(shape), dtype, torch.device(previous_state.device))
        except Exception as error:
            raise PipelineError(
                f"failed on a batch of two ({dtype}, {tuple(shape)}): {describe_error(error)}"
            ) from error
        found = self.found
        return replace(previous_state, shape=found.shape, dtype=found.dtype, device=found.device), None

    def generate_code(self) -> Callable[..., torch.Tensor]:
        """A function of the whole batch, for a module that draws nothing."""
        module = self.module
        return lambda batch, _: module(batch)

    def run_per_sample(self, batch: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """Run a random module on each sample of `batch` (N, ...) with its own key, uint64 (N,)."""
        assert self.found is not None
        return run_per_sample(self.module, self.found, batch, keys)
