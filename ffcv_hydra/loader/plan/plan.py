"""The steps that every batch goes through: operations, their states, and who feeds whom.

A plan knows nothing of threads, files or epochs.
"""

import functools
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import nn

from ffcv_hydra.loader.plan.batch_code import BatchCode
from ffcv_hydra.loader.plan.modules import Probe
from ffcv_hydra.operations import MixingOperation
from ffcv_hydra.operations.operation import Operation, State


class Kind(Enum):
    """How an operation is run."""

    CHUNK = "by the loader's threads, on chunks of a batch"
    BATCH = "by one of the loader's threads, on a whole batch"
    CONSUMER = "by the thread that takes the batch"


@dataclass(eq=False)
class Node:
    """One operation at its place in a pipeline.

    Attributes:
        output: the name of the output whose pipeline it is in.
        field: the field that the data comes from.
        operation: the loader's own copy.
        parent: the node before it; None for a decoder.
        kind: how it is run.
        state: after the operation.
        memory, shared: what `AllocationQuery`s it asked for.
        stream: what is mixed into a sample's key for a random operation: (stream, ordinal, view).
        view: which of its output's views it is in.
        code: of an operation that runs on whole batches.
        found: of a torch module.
        shares_source: whether something else also reads what `parent` gives, so that only a copy may be changed.
        fused: the nodes that this one was made of, if it does what several did.
    """

    output: str
    field: str
    operation: Operation | nn.Module
    parent: "Node | None"
    kind: Kind
    state: State
    memory: Any = None
    shared: Any = None
    stream: tuple[int, int, int] | None = None
    view: int = 0
    code: BatchCode | None = None
    found: Probe | None = None
    shares_source: bool = False
    fused: "tuple[Node, ...]" = ()

    @property
    def name(self) -> str:
        """Of the operation, for messages."""
        return " + ".join(node.name for node in self.fused) or name_of(self.operation)


@dataclass(eq=False)
class Step:
    """Nodes that run one after another without waiting in between, or decoders of one field that share the decoding."""

    nodes: list[Node]
    parent: "Step | None"
    children: "list[Step]" = field(default_factory=list)

    @functools.cached_property
    def kept(self) -> list[Node]:
        """The nodes whose results are read outside of this step; the other ones' are read by the next node alone."""
        return self.nodes if len(self.nodes) > 1 and self.nodes[1].parent is None else self.nodes[-1:]

    @functools.cached_property
    def kind(self) -> Kind:
        """How its nodes are run."""
        return self.nodes[0].kind


@dataclass(frozen=True)
class Picture:
    """What is known of an output that is images or holds places in them.

    Attributes:
        state: of the output, or of each of its views.
        is_image: whether it comes from an image field, and not from an array of boxes or points.
        is_mask: whether it holds places.
        together: the outputs that must move as it does.
        level: its largest value, 255 or 1, as far as that is known.
        is_normalized: whether a mean was subtracted from it.
    """

    state: State
    is_image: bool
    is_mask: bool
    together: frozenset[str]
    level: int | None = None
    is_normalized: bool = False


@dataclass
class Plan:
    """All steps, each after the one that feeds it, and which node gives each output, or which ones its views.

    `pictures` says by output what must be moved together.
    """

    steps: list[Step]
    outputs: dict[str, Node | list[Node]]
    pictures: dict[str, Picture]

    @property
    def mixing(self) -> list[Node]:
        """The nodes that mix pairs of samples."""
        nodes = [node for step in self.steps for node in step.nodes]
        return [node for node in nodes if isinstance(node.operation, MixingOperation)]


def fields_read_by_pointers(plan: Plan) -> list[str]:
    """The fields whose decoders read stored bytes by their pointers, in compiled code."""
    decoders = [node for step in plan.steps for node in step.nodes if node.parent is None]
    return sorted({node.field for node in decoders if node.code is not None})


@functools.cache
def torch_dtype(dtype: Any) -> torch.dtype:
    """The torch dtype of a NumPy or torch dtype."""
    return dtype if isinstance(dtype, torch.dtype) else torch.from_numpy(np.empty(0, dtype=dtype)).dtype


def name_of(operation: Operation | nn.Module) -> str:
    """What messages call an operation or a module."""
    return operation.name if isinstance(operation, Operation) else type(operation).__name__
