"""The last pass: what threads run without waiting in between, and on how many samples at a time."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ffcv_hydra.beton import Beton
from ffcv_hydra.loader.plan.links import links_of
from ffcv_hydra.loader.plan.node import Kind, Node
from ffcv_hydra.loader.plan.plan import Plan
from ffcv_hydra.loader.plan.step import Form, Link, Step
from ffcv_hydra.operations import ImageDecoder
from ffcv_hydra.operations.dtypes import torch_dtype
from ffcv_hydra.operations.image_chain import ImageFunctionOperation
from ffcv_hydra.operations.operation import AllocationQuery, Layout

_CHUNK_BYTES = 1 << 20
_CHAIN_BYTES = 1 << 22  # a millisecond's work, next to which a task's own cost is nothing
_DECODED_BYTES = 1 << 24  # some tens of milliseconds
_LEAST_SAMPLES = 16  # of a chunk
_VIEWS = (Layout.TENSOR, Layout.CHANNELS_LAST)


def schedule(plan: Plan, beton: Beton, batch_size: int, num_workers: int, batches_ahead: int) -> Plan:
    """Put nodes that feed one another into steps, and decoders of one field's images into one.

    Before: nodes, each after the one that feeds it. After: `steps` holds each node once, with what runs as one call,
    how many samples a task has, and the form that memory is lent in.

    Args:
        plan: the nodes.
        beton: whose images may be stored as they are wanted.
        batch_size: samples per batch.
        num_workers: threads.
        batches_ahead: how many batches are made at the same time.
    """
    readers = plan.readers()
    groups = _groups(plan.nodes, readers)
    children: dict[int, list[Step]] = {}
    steps: list[Step] = []
    for number, (nodes, before) in reversed(list(enumerate(groups))):
        step = Step(tuple(nodes), tuple(children.pop(number, [])[::-1]))
        if step.kind is Kind.CHUNK:
            links = links_of(step, beton)
            is_chain = len(links) == 1 and links[0].is_chain
            size = (
                chain_chunk_size(step, batch_size, num_workers, batches_ahead, plan.group_size)
                if is_chain
                else chunk_size(step, links, batch_size, num_workers, plan.group_size)
            )
            step = replace(step, links=links, chunk_size=size, form=_form_behind(step, readers))
        steps.append(step)
        if before is not None:
            children.setdefault(before, []).append(step)
    return replace(plan, steps=tuple(reversed(steps)))


def _groups(nodes: Sequence[Node], readers: Counter[Node]) -> list[tuple[list[Node], int | None]]:
    """The nodes of each step, and the number of the one that feeds it."""
    groups: list[tuple[list[Node], int | None]] = [(decoders, None) for decoders in _decoders_by_image(nodes)]
    number_of = {node: number for number, (decoders, _) in enumerate(groups) for node in decoders}
    for node in nodes:
        if node.parent is None:
            continue
        before = number_of[node.parent]
        others = groups[before][0]
        follows = len(others) == 1 or others[1].parent is not None or _goes_on(node)
        if follows and node.parent in others and readers[node.parent] == 1 and others[0].kind is node.kind:
            others.append(node)
            number_of[node] = before
        else:
            number_of[node] = len(groups)
            groups.append(([node], before))
    return groups


def _goes_on(node: Node) -> bool:
    """Whether a node can be run for an image that has just been decoded, as all before it."""
    assert node.parent is not None
    is_behind = isinstance(node.parent.operation, (ImageDecoder, ImageFunctionOperation))
    return is_behind and isinstance(node.operation, ImageFunctionOperation)


def _decoders_by_image(nodes: Sequence[Node]) -> list[list[Node]]:
    """The nodes without parent: those that decode images of the same field together, every other one alone."""
    groups: dict[str | Node, list[Node]] = {}
    for node in nodes:
        if node.parent is None:
            groups.setdefault(node.field if isinstance(node.operation, ImageDecoder) else node, []).append(node)
    return list(groups.values())


def _form_behind(step: Step, readers: Counter[Node]) -> Form | None:
    """The form in which alone the result of a step of chunks is read, if there is such a one."""
    if len(step.kept) > 1 or len(step.children) != 1 or step.children[0].kind is not Kind.BATCH:
        return None
    nodes = step.children[0].nodes
    layouts = [node.operation.as_layout() for node in nodes]
    is_view = layouts[0] is Layout.TENSOR and all(layout in _VIEWS for layout in layouts)
    is_read_elsewhere = any(readers[node] > 1 for node in (step.kept[0], *nodes[:-1]))
    return Form(nodes) if is_view and not is_read_elsewhere else None


def chunk_size(step: Step, links: Sequence[Link], batch_size: int, num_workers: int, multiple: int = 1) -> int:
    """Samples per task: an even number, and a multiple of one that keeps together what is mixed.

    A chunk that one link passes on to the next should stay in a core's cache; images that go through one call alone do
    so in any case. Fewer than 16 samples are not worth a call; as long as they are more, there are as many chunks for
    each thread, since one that is left over costs several percent of a short epoch.
    """
    is_by_image = len(links) == 1 and links[0].branches[0].functions is not None
    num_bytes = _DECODED_BYTES if is_by_image else _CHUNK_BYTES
    most = max(_LEAST_SAMPLES, min(num_bytes // max(1, _sample_bytes(step)), -(-batch_size // num_workers)))
    num_chunks = -(-batch_size // most)
    for_each = -(-num_chunks // num_workers) * num_workers
    return _share(batch_size, for_each if batch_size >= _LEAST_SAMPLES * for_each else num_chunks, multiple)


def chain_chunk_size(step: Step, batch_size: int, num_workers: int, batches_ahead: int, multiple: int = 1) -> int:
    """Samples per task of a step that is one chain, in which single images stay in the cache whatever the task's size.

    A whole batch, if there is work for all threads in the batches that are made at the same time.
    """
    most = max(_LEAST_SAMPLES, _CHAIN_BYTES // max(1, _sample_bytes(step)))
    num_chunks = max(-(-batch_size // most), -(-num_workers // max(1, batches_ahead - 1)))
    return _share(batch_size, num_chunks, multiple)


def _sample_bytes(step: Step) -> int:
    queries = [node.memory for node in step.nodes if isinstance(node.memory, AllocationQuery)]
    return max((math.prod(q.shape) * torch_dtype(q.dtype).itemsize for q in queries), default=0)


def _share(batch_size: int, num_chunks: int, multiple: int) -> int:
    multiple = math.lcm(2, multiple)
    return -(-batch_size // (multiple * num_chunks)) * multiple
