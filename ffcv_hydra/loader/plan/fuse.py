"""The fifth pass: operations joined with those that follow them. The same results, made in one pass over each image.

A flip costs nothing when the resampling writes from right to left, and functions of single values (normalisation, the
division by 255) are a table that is looked up while the image is in the processor's cache. Each operation keeps its own
random numbers. An operation whose result something else reads as well stays on its own.

Behind other operations on arrays, functions of single values are looked up in chunks too, before `ToTensor` instead of
after it: as tensors they would be computed for whole batches at once, by one thread, in new memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ffcv_hydra.errors import PipelineError, describe_error
from ffcv_hydra.loader.plan.node import Kind, Node
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.operations import ImageDecoder, NormalizeImage
from ffcv_hydra.operations.operation import Layout

_TABLE_DTYPES = (torch.float32, torch.float16)


def fuse(plan: Plan) -> Plan:
    """Give one node to each decoder and what it can do on the way, and to functions of single values.

    Before: a node for each operation. After: the same outputs from fewer nodes, each of which says in `fused` what it
    was made of.

    Raises:
        PipelineError: an operation gives a table of another shape than the values that it was asked for.
    """
    readers = plan.readers()
    only_reader = {node.parent: node for node in plan.nodes if node.parent is not None and readers[node.parent] == 1}
    found: dict[Node, _OnTheWay] = {}
    gone: set[Node] = set()
    for node in plan.nodes:
        if node not in gone and _makes_images(node):
            found[node] = _on_the_way(node, only_reader)
            gone.update(found[node].nodes)

    def joined(node: Node, parent: Node | None) -> Node:
        if node in gone:
            assert parent is not None
            return parent
        node, on_the_way = node.behind(parent), found.get(node)
        return _with(node, on_the_way) if on_the_way is not None and on_the_way.nodes else node

    return plan.rewritten(joined)


def _makes_images(node: Node) -> bool:
    is_of_bytes = node.state.dtype == np.uint8 and len(node.state.shape) == 3
    return isinstance(node.operation, ImageDecoder) or (node.kind is Kind.CHUNK and is_of_bytes)


@dataclass(frozen=True)
class _OnTheWay:
    """What can be done while an image is made.

    Attributes:
        nodes: that do it now.
        flip: the probability of a flip; None if there is none.
        values: what each byte becomes, (256, C); uint8 if it stays what it is.
        channels_first: whether the result is to be (C, H, W).
    """

    nodes: tuple[Node, ...]
    flip: float | None
    values: torch.Tensor
    channels_first: bool


def _on_the_way(first: Node, only_reader: Mapping[Node, Node]) -> _OnTheWay:
    """What follows `first`, as far as nothing else reads it.

    Decoders mirror and change the layout, too. Elsewhere that is left to the nodes behind, which read the new values.
    """
    decodes, is_of_bytes = isinstance(first.operation, ImageDecoder), first.state.dtype == np.uint8
    values = torch.arange(256, dtype=torch.uint8)[:, None].expand(256, first.state.shape[2])
    passed = (Layout.CHANNELS_LAST,) if decodes else (Layout.CHANNELS_LAST, Layout.CHANNELS_FIRST)
    flip, channels_first, has_moved, nodes = None, False, False, []
    node = only_reader.get(first)
    while node is not None and (decodes or node.kind is Kind.BATCH):
        layout = node.operation.as_layout()
        table = _table(node, values) if is_of_bytes else None
        is_taken = True
        mirrors = None if node.stream is None else node.operation.as_flip()
        if decodes and flip is None and mirrors is not None:
            flip = mirrors
        elif table is not None and table.dtype in _TABLE_DTYPES:
            values = table
        elif decodes and is_of_bytes and layout is Layout.CHANNELS_FIRST and not has_moved:
            channels_first = has_moved = True
        elif layout is Layout.TENSOR or (layout in passed and not has_moved):
            has_moved = has_moved or layout is not Layout.TENSOR
            is_taken = False
        else:
            break
        nodes += [node] * is_taken
        node = only_reader.get(node)
    return _OnTheWay(tuple(nodes), flip, values, channels_first)


def _table(node: Node, values: torch.Tensor) -> torch.Tensor | None:
    """What a node makes of `values` (256, C), if that is a function of them alone; kernels read it by its address."""
    where = f"pipeline of '{node.output}': {node.name}: as_table"
    try:
        table = None if node.operation.random else node.operation.as_table(values)
    except Exception as error:
        raise PipelineError(f"{where}: {describe_error(error)}") from error
    if table is not None and not (isinstance(table, torch.Tensor) and table.shape == values.shape):
        found = tuple(table.shape) if isinstance(table, torch.Tensor) else type(table).__name__
        raise PipelineError(
            f"{where} gives {found} for values {tuple(values.shape)}; return a tensor with a value for each, or None"
        )
    return table


def _with(first: Node, way: _OnTheWay) -> Node:
    """A decoder that does it all, or the table behind another operation."""
    if isinstance(first.operation, ImageDecoder):
        table = None if way.values.dtype == torch.uint8 else np.ascontiguousarray(way.values.numpy().T)
        operation: Any = first.operation.fused_with(way.flip, table, way.channels_first)
        state, memory = operation.declare_state_and_memory(first.state)
        return replace(first, operation=operation, state=state, memory=memory, fused=(first, *way.nodes))
    operation = NormalizeImage.of_table(way.values.numpy())
    state, memory = operation.declare_state_and_memory(first.state)
    return replace(first, operation=operation, parent=first, state=state, memory=memory, stream=None, fused=way.nodes)
