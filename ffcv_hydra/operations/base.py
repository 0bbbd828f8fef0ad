"""The project's own kind of operation: run on chunks of a batch, from the loader's threads, on cached kernels.

FFCV compiles a closure per operation in every process and runs it on whole batches. A `ChunkOperation` is given a part
of a batch and a key per sample, and calls kernels that were compiled once per machine. It is an FFCV `Operation` as far
as states and memory go, but only this package's loader runs it.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from ffcv_hydra.beton.fields.base import Field
from ffcv_hydra.errors import PipelineError
from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.jpeg.tables import TABLES_BYTES
from ffcv_hydra.kernels.memory.checksum import first_mismatch
from ffcv_hydra.operations.operation import AllocationQuery, Operation, State


@dataclass
class Scratch:
    """What one thread needs while it works: tables of its last JPEG, and buffers that only grow."""

    jpeg_tables: np.ndarray = field(default_factory=lambda: np.zeros(TABLES_BYTES // 8, dtype=np.int64))
    buffers: dict[str, np.ndarray] = field(default_factory=dict)

    def buffer(self, use: str, size: int) -> np.ndarray:
        """A uint8 buffer of at least `size` bytes, the same one for each `use` as long as it suffices."""
        if use not in self.buffers or len(self.buffers[use]) < size:
            self.buffers[use] = np.empty(size, dtype=np.uint8)
        return self.buffers[use]

    def file_for(self, size: int) -> np.ndarray:
        """A uint8 buffer of at least `size` bytes for what is read from the file."""
        return self.buffer("file", size)

    def passed_on(self, number: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """One of two arrays for what an operation passes on to the next one; overwritten by the next but one."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        return self.buffer(f"passed on {number}", size)[:size].view(dtype).reshape(shape)


@dataclass(frozen=True)
class Extents:
    """Where the stored bytes of a chunk's samples lie.

    Attributes:
        data: uint8, read-only; the file, or the part of it that the chunk needs.
        offsets, sizes: int64 (N,), in bytes, into `data`.
        checksums: uint64 (N,), of the bytes when they were written; None if the file has none.
    """

    data: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    checksums: np.ndarray | None = None

    def part(self, begin: int, end: int) -> "Extents":
        """Those of samples `begin` to `end`."""
        checksums = None if self.checksums is None else self.checksums[begin:end]
        return Extents(self.data, self.offsets[begin:end], self.sizes[begin:end], checksums)

    def without(self, positions: list[int]) -> "Extents":
        """The same, but that nothing is stored of some samples."""
        sizes = self.sizes.copy()
        sizes[positions] = 0
        return Extents(self.data, self.offsets, sizes)

    def first_mismatch(self, begin: int) -> int | None:
        """The first position from `begin` on whose bytes differ from their checksum."""
        if self.checksums is None:
            return None
        rest = self.part(begin, len(self.sizes))
        found = first_mismatch(self.data, rest.offsets, rest.sizes, rest.checksums)
        return None if found < 0 else begin + found


@dataclass(frozen=True)
class Chunk:
    """The part of a batch that one call works on.

    Attributes:
        samples: int64 (N,), the samples' ids.
        keys: uint64 (N,), this operation's key of each sample; None for an operation that is not random.
        scratch: of the calling thread.
        fused_keys: the same as `keys` for the random operations that are joined to this one, in their order.
        boxes: where the stored boxes of the samples lie, for what looks at these.
    """

    samples: np.ndarray
    keys: np.ndarray | None
    scratch: Scratch
    fused_keys: tuple[np.ndarray, ...] = ()
    boxes: Extents | None = None

    def part(self, begin: int, end: int) -> "Chunk":
        """That of samples `begin` to `end`."""
        keys = None if self.keys is None else self.keys[begin:end]
        fused_keys = tuple(keys[begin:end] for keys in self.fused_keys)
        boxes = None if self.boxes is None else self.boxes.part(begin, end)
        return Chunk(self.samples[begin:end], keys, self.scratch, fused_keys, boxes)


class FailedSample(Exception):
    """Raised by an operation: which position of the chunk failed, and why. The loader adds file, field and sample."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


class ChunkOperation(Operation):
    """Base of the project's operations.

    Instances hold their arguments and nothing that a run changes: the loader works on a copy of them.

    Attributes:
        random: whether `run` draws from the chunk's keys.
        geometric: whether what it draws says where pixels go, so that an image and its mask must share the draws.
        joint_parameters: the attributes that decide where pixels go; equal in all outputs that share the draws.
    """

    geometric = False
    joint_parameters: ClassVar[tuple[str, ...]] = ()

    def arguments(self) -> dict[str, Any]:
        """Its `joint_parameters`."""
        return {name: getattr(self, name) for name in self.joint_parameters}

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """What `run` certainly calls, so that it may be compiled before: those that take longest first."""
        return ()

    def result(self, before: State) -> tuple[tuple[int, ...], Any]:
        """Shape and NumPy dtype of what it makes of one sample of the state `before`; by default these stay.

        Raises:
            PipelineError: it does not take such samples.
        """
        return tuple(before.shape), before.dtype

    def declare_state_and_memory(self, previous_state: State) -> tuple[State, AllocationQuery]:
        """The state after the operation, and memory for its output: of `result`."""
        shape, dtype = self.result(previous_state)
        return replace(previous_state, shape=shape, dtype=dtype), AllocationQuery(shape, dtype)

    @abstractmethod
    def run(self, source: Any, target: np.ndarray, chunk: Chunk) -> None:
        """Fill `target` (N, ...) from `source`: the previous operation's (N, ...), or `Extents` for a decoder.

        Raises:
            FailedSample: if a sample cannot be worked on.
        """

    def generate_code(self) -> Callable[..., Any]:
        """FFCV's hook for code to compile: there is none.

        Raises:
            PipelineError: always.
        """
        raise PipelineError(f"{type(self).__name__} runs in ffcv_hydra's Loader only, not in FFCV's")


class ChunkDecoder(ChunkOperation):
    """Base of the operations that a pipeline starts with: from stored bytes, or the metadata alone, to arrays.

    Attributes:
        group_sizes: of the operations that put several images into one, in their order, for what goes with these: it
            makes each outcome of all samples that have come together in an image.
    """

    field_types: ClassVar[tuple[type[Field], ...]] = ()
    reads_file: ClassVar[bool] = True
    group_sizes: tuple[int, ...] = ()

    @property
    def num_sources(self) -> int:
        """How many samples each outcome is made of."""
        return math.prod(self.group_sizes)

    @property
    def is_decoder(self) -> bool:
        """It is."""
        return True

    def decodes(self, field: Any) -> bool:
        """Whether the field is one of `field_types`."""
        return isinstance(field, self.field_types)

    def fill_with_zeros(self, target: np.ndarray) -> None:
        """Fill one sample's part of the output with what data of zeros would give."""
        target[...] = 0
