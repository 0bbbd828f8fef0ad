"""One operation at its place in a plan. Nodes are values: what changes one makes another."""

import copy
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from ffcv_hydra.loader.plan.batch_code import BatchCode
from ffcv_hydra.operations.operation import INITIAL_STATE, Operation, State


class Kind(Enum):
    """How an operation is run."""

    CHUNK = auto()  # by the loader's threads, on chunks of a batch
    BATCH = auto()  # by one of the loader's threads, on a whole batch
    CONSUMER = auto()  # by the thread that takes the batch


@dataclass(frozen=True, eq=False)
class Node:
    """One operation at its place in a pipeline; two are the same node only if they are one object.

    Attributes:
        output: the name of the output whose pipeline it is in.
        view: which of its output's views it is in.
        field: the field that the data comes from.
        operation: the loader's own copy.
        parent: the node before it; None for a decoder.
        kind: how it is run.
        state: after the operation.
        memory, shared: what `AllocationQuery`s it asked for.
        stream: what is mixed into a sample's key for a random operation: (stream, ordinal, view).
        code: of an operation that runs on whole batches.
        beside: the node whose result it reads as well, in the same view.
        fused: the nodes that this one was made of, if it does what several did.
        looks_at: the field of boxes that it is given as they are stored, beside its own.
    """

    output: str
    view: int
    field: str
    operation: Operation
    parent: "Node | None"
    kind: Kind
    state: State
    memory: Any = None
    shared: Any = None
    stream: tuple[int, int, int] | None = None
    code: BatchCode | None = None
    beside: "Node | None" = None
    fused: "tuple[Node, ...]" = ()
    looks_at: str | None = None

    @property
    def name(self) -> str:
        """Of the operation, for messages."""
        return " + ".join(node.name for node in self.fused) or self.operation.name

    def behind(self, parent: "Node | None") -> "Node":
        """The same operation, given what `parent` makes; a copy that is declared anew if that is of another state."""
        if parent is self.parent:
            return self
        if parent is None or self.parent is None or parent.state == self.parent.state:
            return replace(self, parent=parent)
        return self.with_operation(copy.copy(self.operation), parent)

    def with_operation(self, operation: Operation, parent: "Node | None") -> "Node":
        """The node with another operation, which is declared, and is given what `parent` makes."""
        before = INITIAL_STATE if parent is None else parent.state
        state, memory = operation.declare_state_and_memory(before)
        shared = operation.declare_shared_memory(before)
        code = None if self.code is None else BatchCode(operation, state.jit_mode, decodes=False)
        return replace(self, operation=operation, parent=parent, state=state, memory=memory, shared=shared, code=code)


def with_parents(node: Node) -> list[Node]:
    """A node and those before it, back to the decoder."""
    return [node] if node.parent is None else [node, *with_parents(node.parent)]
