"""What an operation is: its state and memory per sample, and code for whole batches. FFCV's names and meanings.

The package's own work on chunks of a batch instead (`ffcv_hydra.operations.base`), or give a function of a tensor.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, ClassVar

import numpy as np
import torch

from ffcv_hydra.operations.maps import Maps


@dataclass(frozen=True)
class State:
    """What a batch is between two operations.

    Attributes:
        jit_mode: whether it is an array that compiled code may work on; otherwise it is a tensor.
        device: where it is.
        shape: of one sample; None before the decoder.
        dtype: of NumPy for an array, of torch for a tensor.
    """

    jit_mode: bool
    device: torch.device
    shape: Any
    dtype: Any


INITIAL_STATE = State(jit_mode=True, device=torch.device("cpu"), shape=None, dtype=np.dtype(np.uint8))


@dataclass(frozen=True)
class AllocationQuery:
    """Memory that an operation asks for.

    Attributes:
        shape: of one sample's part.
        dtype: of NumPy for an array, of torch for a tensor.
        device: of a tensor; None for the CPU.
    """

    shape: tuple[int, ...]
    dtype: Any
    device: torch.device | None = None


class Layout(Enum):
    """What an operation makes of arrays or images (N, H, W, C) that changes none of their values."""

    TENSOR = auto()  # of the same memory
    CHANNELS_LAST = auto()  # (N, C, H, W) of the same memory
    CHANNELS_FIRST = auto()  # (N, C, H, W), copied


class Operation(ABC):
    """Base of what pipelines are made of.

    What a loader may do in its place, the `as_...` methods say; by default that is nothing.

    Attributes:
        random: whether it draws, from keys that the loader hands to it.
        geometric: whether it moves pixels; None if nobody has said.
        follows_nothing: whether no other output can be moved as it moves images.
        keeps_levels: whether the values of images stay what they are, maybe in another dtype.
        group_size: how many samples, neighbours in the order, each one is made of.
        mixed_targets: the name of the operation that mixes labels as this one mixes images; None if it mixes nothing.
        num_threads: that its compiled code may use; the loader sets it before it asks for code.
        field, metadata, memory_read: of what is read; the loader sets them.
    """

    random: ClassVar[bool] = False
    geometric: bool | None = None
    follows_nothing: ClassVar[bool] = False
    keeps_levels: ClassVar[bool] = False
    group_size: ClassVar[int] = 1
    mixed_targets: ClassVar[str | None] = None
    num_threads: int = 1
    field: Any = None
    metadata: Any = None
    memory_read: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return type(self).__name__

    @property
    def full_name(self) -> str:
        """The name with the module that its class is from."""
        return f"{type(self).__module__}.{type(self).__qualname__}"

    def accept_field(self, field: Any) -> None:
        """Learn of the field whose data it is given."""
        self.field = field

    def accept_globals(self, metadata: Any, memory_read: Any) -> None:
        """Learn of the field's metadata (num_samples,), and of the function that gives stored bytes at a pointer."""
        self.metadata, self.memory_read = metadata, memory_read

    def decodes(self, field: Any) -> bool:
        """Whether a pipeline of the field may begin with it."""
        return False

    @property
    def is_decoder(self) -> bool:
        """Whether it works on stored bytes or metadata, and so comes first in a pipeline."""
        return False

    def equivalent(self, before: "Sequence[Operation | torch.nn.Module]") -> "Operation":
        """An operation of this package that does the same behind those `before` it; itself where there is none."""
        return self

    def as_table(self, values: torch.Tensor) -> torch.Tensor | None:
        """What it makes of `values` (256, C), one column per channel; None if it is no function of single values.

        Of the same shape, or the loader raises a `PipelineError`. An operation that is `random` is not asked.
        """
        return None

    def as_flip(self) -> float | None:
        """The probability by which it mirrors each image left to right; None if it does anything else.

        By draw 0 of the sample's key: one that is not `random` has no key, and is not asked. It must be `geometric`.
        """
        return None

    def as_layout(self) -> Layout | None:
        """What it makes of memory; None if it changes values."""
        return None

    def as_normalization(self) -> tuple[Sequence[float], Sequence[float]] | None:
        """Mean and std, for all channels or one for each, if it makes (x - mean) / std of images."""
        return None

    def maps(self, heights: np.ndarray, widths: np.ndarray, keys: np.ndarray | None) -> Maps | None:
        """Where it puts the places of images, for one that is `geometric`; None: boxes and points cannot follow it.

        Args:
            heights, widths: int64 (N,), of the images before it, in pixels.
            keys: uint64 (N,), its keys of the samples; None if it is not `random`.
        """
        return None

    def arguments(self) -> Mapping[str, Any]:
        """What it was made with, as far as that may say where pixels go."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_") and name not in _SET}

    @abstractmethod
    def declare_state_and_memory(self, previous_state: State) -> tuple[State, Any]:
        """The state after it, and an `AllocationQuery`, several, or None."""

    def declare_shared_memory(self, previous_state: State) -> Any:
        """An `AllocationQuery` for memory that all of a batch shares, or None."""
        return None

    @abstractmethod
    def generate_code(self) -> Callable[..., Any]:
        """A function of the batch and of its memory; it is compiled where `jit_mode` is set after it.

        A decoder's takes the samples' ids, its memory, the metadata and the storage's state.
        """

    def generate_code_for_shared_state(self) -> Callable[..., Any] | None:
        """A function that fills the shared memory before the batch is worked on, or None."""
        return None


_SET = frozenset({"field", "metadata", "memory_read", "num_threads"})
