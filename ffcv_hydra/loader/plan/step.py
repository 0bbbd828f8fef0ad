"""What threads run without waiting in between, and what runs as one call of that. Knows nothing of batches or files."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ffcv_hydra.kernels.compiling.compilation import Kernel
from ffcv_hydra.kernels.memory.checksum import first_mismatch
from ffcv_hydra.kernels.memory.image_chain import run_image_chain, run_image_functions
from ffcv_hydra.loader.plan.node import Kind, Node
from ffcv_hydra.operations import ChunkDecoder
from ffcv_hydra.operations.image_chain import ImageChain, ImageFunction

_NO_SAMPLES = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Branch:
    """Nodes that each image goes through, one after another; or one node that works on chunks.

    Attributes:
        nodes: each of which feeds the next. The first one may be a decoder, even of another kind.
        functions: the image functions of all nodes but a decoder, each with what is folded into keys for it; None if
            the node works on chunks.
        image_bytes: of each image that the first function reads.
    """

    nodes: tuple[Node, ...]
    functions: tuple[tuple[ImageFunction, tuple[int, ...]], ...] | None = None
    image_bytes: int = 0

    @cached_property
    def chain(self) -> ImageChain:
        """The functions, compiled; only where there are some, or none are needed."""
        assert self.functions is not None
        return ImageChain(self.functions, self.image_bytes)


@dataclass(frozen=True, eq=False)
class Link:
    """Nodes that run as one call.

    Attributes:
        branches: one; or one for each decoder of a field, if these are several.
        is_stored: whether the functions read the images as they are stored.
    """

    branches: tuple[Branch, ...]
    is_stored: bool = False

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Of all branches, one after another."""
        return tuple(node for branch in self.branches for node in branch.nodes)

    @cached_property
    def decoders(self) -> tuple[Node, ...]:
        """The nodes that decode."""
        return tuple(node for node in self.nodes if node.parent is None)

    @cached_property
    def reads_file(self) -> bool:
        """Whether it begins with decoders of what is stored outside the metadata."""
        operation = self.nodes[0].operation
        return bool(self.decoders) and isinstance(operation, ChunkDecoder) and operation.reads_file

    @cached_property
    def looked_at(self) -> tuple[str, ...]:
        """The fields of boxes that its decoders look at beside their own, each once."""
        fields = dict.fromkeys(node.looks_at for node in self.decoders)
        return tuple(field for field in fields if field not in (None, self.nodes[0].field))

    @property
    def is_chain(self) -> bool:
        """Whether each image goes through functions, and nothing else."""
        return self.is_stored or (not self.decoders and self.branches[0].functions is not None)

    @cached_property
    def in_place(self) -> bool:
        """Whether what it makes may be written over what it is made of."""
        functions = self.branches[0].functions
        return not self.decoders and functions is not None and all(function.in_place for function, _ in functions)

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """What it certainly calls: those that take longest to compile first."""
        of_functions = [
            kernel for branch in self.branches for function, _ in branch.functions or () for kernel in function.kernels
        ]
        if self.is_chain:
            return (run_image_chain, *of_functions)
        operations: list[Any] = [branch.nodes[0].operation for branch in self.branches]
        checks = (first_mismatch,) if self.reads_file else ()
        of_chains = (run_image_functions, *of_functions) if of_functions else ()
        return (*(kernel for operation in operations for kernel in operation.kernels), *of_chains, *checks)


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
    """Nodes that run without waiting in between: one after another, or behind decoders of one field that share the
    decoding.

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
        """The nodes whose results are read outside of this step; the other ones' are read by one node of it alone."""
        read_here = {node.parent for node in self.nodes}
        return tuple(node for node in self.nodes if node not in read_here)

    @cached_property
    def kind(self) -> Kind:
        """How its nodes are run."""
        return self.nodes[0].kind
