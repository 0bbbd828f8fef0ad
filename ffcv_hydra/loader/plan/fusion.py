"""Image decoders joined with what follows them: the same results, made in one pass over each image.

A flip costs nothing when the resampling writes from right to left, and functions of single values (normalisation, the
division by 255) are a table that is looked up while the image is in the processor's cache. Each operation keeps its own
random numbers. An operation whose result something else reads as well stays on its own.

Behind other operations on arrays, functions of single values are looked up in chunks too, before `ToTensor` instead of
after it: as tensors they would be computed for whole batches at once, by one thread, in new memory.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from ffcv_hydra.loader.plan.plan import Kind, Node
from ffcv_hydra.operations import ImageDecoder, NormalizeImage, RandomHorizontalFlip, ToTensor, ToTorchImage
from ffcv_hydra.operations.fused_decoder import FusedDecoder

Outputs = Mapping[str, Node | list[Node]]
_TABLE_DTYPES = (torch.float32, torch.float16)


def readers_of(nodes: Iterable[Node], outputs: Outputs) -> Counter[Node]:
    """How many times each node's result is read: by another node, or as an output."""
    readers = Counter(node.parent for node in nodes if node.parent is not None)
    for delivered in outputs.values():
        readers.update([delivered] if isinstance(delivered, Node) else delivered)
    return readers


def fuse(nodes: list[Node], outputs: Outputs) -> tuple[list[Node], dict[str, Node | list[Node]]]:
    """Nodes and outputs that give the same, with one node for each decoder and what it can do on the way.

    Args:
        nodes: each after the one that feeds it; those that stay are told whom they read now.
        outputs: which nodes are delivered.
    """
    readers = readers_of(nodes, outputs)
    only_reader = {node.parent: node for node in nodes if node.parent is not None and readers[node.parent] == 1}
    stand_ins: dict[Node, Node] = {}
    for node in nodes:
        if node.parent is None and isinstance(node.operation, ImageDecoder):
            stand_ins |= _fuse_chain(node, only_reader)
    kept = [stand_ins[node] if node.parent is None and node in stand_ins else node for node in nodes]
    kept = [node for node in kept if node not in stand_ins]
    for node in [node for node in kept if _gives_byte_images(node)]:
        looked_up, values = _look_up_behind(node, only_reader)
        if values is not None:
            stand_ins |= looked_up
            kept = [node for node in kept if node not in looked_up]
            kept.insert(kept.index(node) + 1, values)
    for node in kept:
        node.parent = stand_ins.get(node.parent, node.parent) if node.parent is not None else None
    delivered: dict[str, Node | list[Node]] = {
        name: stand_ins.get(one, one) if isinstance(one, Node) else [stand_ins.get(view, view) for view in one]
        for name, one in outputs.items()
    }
    return kept, delivered


def _fuse_chain(decoder: Node, only_reader: Mapping[Node, Node]) -> dict[Node, Node]:
    """What stands in for the decoder's node and for each one that is joined to it; nothing if none is."""
    plan = _Fusion(decoder)
    node = only_reader.get(decoder)
    while node is not None and plan.take(node):
        node = only_reader.get(node)
    if len(plan.joined) == 1:
        return {}
    fused = plan.node()
    last = fused
    stand_ins = {}
    for node in plan.chain:
        if node in plan.joined:
            stand_ins[node] = last
        else:
            operation: Any = node.operation
            node.state = operation.declare_state_and_memory(last.state)[0]
            last = node
    return stand_ins


def _gives_byte_images(node: Node) -> bool:
    return (
        node.kind is Kind.CHUNK
        and not isinstance(node.operation, ImageDecoder)
        and node.state.dtype == np.uint8
        and len(node.state.shape) == 3
    )


def _look_up_behind(first: Node, only_reader: Mapping[Node, Node]) -> tuple[dict[Node, Node], Node | None]:
    """What stands in for functions of the values of `first` as tensors, and the node of their table, if there are any.

    The nodes in between, which only change the kind and the layout, read from the new node.
    """
    values = _every_byte(first.state.shape[2])
    last, passed, taken, stand_ins = first, [], [], {}
    node, moved = only_reader.get(first), False
    while node is not None and node.kind is Kind.BATCH:
        operation: Any = node.operation
        if isinstance(operation, ToTensor) or (isinstance(operation, ToTorchImage) and not moved):
            moved = moved or isinstance(operation, ToTorchImage)
            passed.append(node)
            last = node
        elif hasattr(operation, "tabulate") and operation.tabulate(values).dtype in _TABLE_DTYPES:
            values = operation.tabulate(values)
            taken.append(node)
            stand_ins[node] = last
        else:
            break
        node = only_reader.get(node)
    if not taken:
        return {}, None
    table: Any = NormalizeImage.of_table(values.numpy())
    state, memory = table.declare_state_and_memory(first.state)
    looked_up = Node(
        first.output, first.field, table, first, Kind.CHUNK, state, memory, view=first.view, fused=tuple(taken)
    )
    passed[0].parent = looked_up
    for node in passed:
        operation = node.operation
        state = node.state = operation.declare_state_and_memory(state)[0]
    return stand_ins, looked_up


def _every_byte(channels: int) -> torch.Tensor:
    """uint8 (256, C): every value, for operations to work on."""
    return torch.arange(256, dtype=torch.uint8)[:, None].expand(256, channels)


class _Fusion:
    """What becomes of one decoder's chain.

    Attributes:
        joined: the decoder and the nodes that become one.
        chain: all nodes up to the last joined one, in their order; those that are not joined stay behind the one node.
    """

    def __init__(self, decoder: Node) -> None:
        assert isinstance(decoder.operation, ImageDecoder)
        self.decoder = decoder.operation
        self.joined = [decoder]
        self.chain = [decoder]
        self._passed: list[Node] = []
        self._flip: RandomHorizontalFlip | None = None
        self._values = _every_byte(self.decoder.channels)
        self._channels_first = self._moved = False

    def take(self, node: Node) -> bool:
        """Go on to the next node; False if nothing from it on can be joined."""
        operation: Any = node.operation
        of_bytes = self.decoder.dtype.itemsize == 1
        if isinstance(operation, RandomHorizontalFlip) and self._flip is None and not self._passed:
            self._flip = operation
        elif hasattr(operation, "tabulate") and of_bytes:
            values = operation.tabulate(self._values)
            if values.dtype not in _TABLE_DTYPES:
                return False
            self._values = values
        elif isinstance(operation, ToTorchImage) and not operation.channels_last and of_bytes and not self._moved:
            self._channels_first = self._moved = True
        elif isinstance(operation, ToTensor) or (
            isinstance(operation, ToTorchImage) and operation.channels_last and not self._moved
        ):
            self._moved = self._moved or isinstance(operation, ToTorchImage)
            self._passed.append(node)
            return True
        else:
            return False
        self.joined.append(node)
        self.chain += [*self._passed_since(), node]
        return True

    def _passed_since(self) -> list[Node]:
        return [node for node in self._passed if node not in self.chain]

    def node(self) -> Node:
        """The one node."""
        first = self.joined[0]
        table = None if self._values.dtype == torch.uint8 else self._values
        operation = FusedDecoder(self.decoder, self._flip, table, self._channels_first)
        state, memory = operation.declare_state_and_memory(first.state)
        return Node(
            first.output, first.field, operation, None, Kind.CHUNK, state, memory,
            stream=first.stream, view=first.view, fused=tuple(self.joined),
        )  # fmt: skip
