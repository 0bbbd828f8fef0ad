"""The fifth pass: operations joined with those before them. The same results, made in one pass over each image.

A flip costs nothing when the resampling writes from right to left, and of what is cut out of whole images the rest need
not be decoded. Functions of single values (normalisation, the division by 255) are a table, which is applied image by
image, and so is channels first: as tensors they would be computed for whole batches at once, by one thread, in new
memory. Each operation keeps its own random numbers. An operation whose result something else reads as well stays on its
own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ffcv_hydra.errors import PipelineError, describe_error
from ffcv_hydra.loader.plan.node import Kind, Node
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.operations import ImageDecoder, RandomCrop, WholeImage
from ffcv_hydra.operations.finish import Finish
from ffcv_hydra.operations.operation import Layout

_TABLE_DTYPES = (torch.float32, torch.float16, torch.int64)


def fuse(plan: Plan) -> Plan:
    """Give crops and flips to decoders, and one node to all functions of single values and the layout behind an image.

    Before: a node for each operation. After: the same outputs from fewer nodes, each of which says in `fused` what it
    was made of.

    Raises:
        PipelineError: an operation gives a table of another shape than the values that it was asked for.
    """
    readers = plan.readers()
    only_reader = {node.parent: node for node in plan.nodes if node.parent is not None and readers[node.parent] == 1}
    found: dict[Node, _Behind] = {}
    gone: set[Node] = set()
    for node in plan.nodes:
        if node not in gone and _makes_images(node):
            behind = found[node] = _behind(node, only_reader)
            gone.update(behind.decoded, behind.finished)

    def joined(node: Node, parent: Node | None) -> Node:
        if node in gone:
            assert parent is not None
            return parent
        return _with(node.behind(parent), found[node]) if node in found else node.behind(parent)

    return plan.rewritten(joined)


def _makes_images(node: Node) -> bool:
    is_of_bytes = node.state.dtype == np.uint8 and len(node.state.shape) == 3
    return isinstance(node.operation, ImageDecoder) or (node.kind is Kind.CHUNK and is_of_bytes)


@dataclass(frozen=True)
class _Behind:
    """What stands behind images, and can be done to each of them.

    Attributes:
        decoded: what the decoder does, if it makes them: a crop, a flip, or both.
        finished: what looks values up, or puts channels first.
        values: what each byte becomes, (256, C); uint8 if it stays what it is.
        channels_first: whether the result is to be (C, H, W).
    """

    decoded: tuple[Node, ...]
    finished: tuple[Node, ...]
    values: torch.Tensor
    channels_first: bool


def _behind(first: Node, only_reader: Mapping[Node, Node]) -> _Behind:
    """What follows `first`, as far as nothing else reads it."""
    decodes, is_of_bytes = isinstance(first.operation, ImageDecoder), first.state.dtype == np.uint8
    values = torch.arange(256, dtype=torch.uint8)[:, None].expand(256, first.state.shape[2])
    crop, flip, channels_first, has_moved, finished = None, None, False, False, []
    node = only_reader.get(first)
    while node is not None:
        layout = node.operation.as_layout()
        table = _table(node, values) if is_of_bytes else None
        mirrors = node.stream is not None and node.operation.as_flip() is not None
        if decodes and flip is None and mirrors:
            flip = node
        elif crop is None and flip is None and node is only_reader.get(first) and _cuts(first, node):
            crop = node
        elif table is not None and table.dtype in _TABLE_DTYPES:
            values = table
            finished.append(node)
        elif is_of_bytes and layout is Layout.CHANNELS_FIRST and not has_moved:
            channels_first = has_moved = True
            finished.append(node)
        elif layout is Layout.TENSOR or (layout is Layout.CHANNELS_LAST and not has_moved):
            has_moved = has_moved or layout is Layout.CHANNELS_LAST
        else:
            break
        node = only_reader.get(node)
    decoded = tuple(one for one in (crop, flip) if one is not None)
    return _Behind(decoded, tuple(finished), values, channels_first)


def _cuts(first: Node, node: Node) -> bool:
    """Whether `node` cuts parts out of whole images, so that a decoder need not make the rest of them."""
    whole, crop = first.operation, node.operation
    return type(whole) is WholeImage and not whole.is_raw and type(crop) is RandomCrop and not any(crop.padding)


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


def _with(first: Node, behind: _Behind) -> Node:
    """The node with its crop and flip, and what finishes its images."""
    if behind.decoded:
        decoder: Any = first.operation
        for node in behind.decoded:
            p = node.operation.as_flip()
            decoder = decoder.with_crop(node.operation) if p is None else decoder.with_flip(p)
        last, fused = behind.decoded[-1], (first, *behind.decoded)
        first = replace(first, operation=decoder, state=last.state, memory=last.memory, fused=fused)
    if not behind.finished:
        return first
    operation = Finish(behind.values.numpy(), behind.channels_first)
    state, memory = operation.declare_state_and_memory(first.state)
    return replace(
        first, operation=operation, parent=first, kind=Kind.CHUNK, state=state, memory=memory, stream=None,
        fused=behind.finished,
    )  # fmt: skip
