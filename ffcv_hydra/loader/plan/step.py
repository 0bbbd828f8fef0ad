"""What threads run without waiting in between, and what runs as one call of that. Knows nothing of batches or files."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.memory.checksum import first_mismatch
from ffcv_hydra.kernels.memory.image_chain import run_image_chain
from ffcv_hydra.loader.plan.node import Kind, Node
from ffcv_hydra.operations import ChunkDecoder
from ffcv_hydra.operations.image_chain import ImageChain, ImageFunction

_NO_SAMPLES = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Link:
    """Nodes that run as one call.

    Attributes:
        nodes: at least one; decoders of one field, or nodes each of which feeds the next.
        functions: the image functions of all of them, each with what is folded into keys for it; None if it has others.
        image_bytes: of each image that the first function reads.
    """

    nodes: tuple[Node, ...]
    functions: tuple[tuple[ImageFunction, tuple[int, ...]], ...] | None = None
    image_bytes: int = 0

    @cached_property
    def reads_file(self) -> bool:
        """Whether it begins with decoders of what is stored outside the metadata."""
        operation = self.nodes[0].operation
        return self.nodes[0].parent is None and isinstance(operation, ChunkDecoder) and operation.reads_file

    @cached_property
    def in_place(self) -> bool:
        """Whether what it makes may be written over what it is made of."""
        return self.functions is not None and all(function.in_place for function, _ in self.functions)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """What it certainly calls: those that take longest to compile first."""
        if self.functions is not None:
            return (run_image_chain, *(kernel for function, _ in self.functions for kernel in function.kernels))
        operations: list[Any] = [node.operation for node in self.nodes]
        checks = (first_mismatch,) if self.reads_file else ()
        return (*(kernel for operation in operations for kernel in operation.kernels), *checks)

    @cached_property
    def chain(self) -> ImageChain:
        """The functions, compiled; only of a link that has some."""
        assert self.functions is not None
        return ImageChain(self.functions, self.image_bytes)


@dataclass(frozen=True, eq=False)
class Form:
    """What the step behind makes of a tensor, without a look at what is in it: other axes for the same memory.

    Memory can be had in that form to begin with, and the step behind need not run.

    Attributes:
        nodes: of the step behind; the first one makes tensors of arrays.
    """

    nodes: tuple[Node, ...]

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        """The form of (N, ...)."""
        for node in self.nodes[1:]:
            assert node.code is not None
            tensor = node.code(tensor, None, None, _NO_SAMPLES, None, None)
        return tensor


@dataclass(frozen=True, eq=False)
class Step:
    """Nodes that run one after another without waiting in between, or decoders of one field that share the decoding.

    Attributes:
        nodes: all of one kind.
        children: the steps that read what it makes.
        links: what runs as one call, in order; of a step on chunks.
        chunk_size: samples per task; None for whole batches.
        form: in which alone its result is read; what its one child makes is there with what it makes itself.
    """

    nodes: tuple[Node, ...]
    children: "tuple[Step, ...]" = ()
    links: tuple[Link, ...] = ()
    chunk_size: int | None = None
    form: Form | None = None

    @property
    def is_first(self) -> bool:
        """Whether it needs nothing done before."""
        return self.nodes[0].parent is None

    @cached_property
    def kept(self) -> tuple[Node, ...]:
        """The nodes whose results are read outside of this step; the other ones' are read by the next node alone."""
        return self.nodes if len(self.nodes) > 1 and self.nodes[1].parent is None else self.nodes[-1:]

    @cached_property
    def kind(self) -> Kind:
        """How its nodes are run."""
        return self.nodes[0].kind
