"""From nodes to the steps that threads run without waiting in between."""

import math
from collections.abc import Iterable, Mapping

from ffcv_hydra.loader.plan.fusion import readers_of
from ffcv_hydra.loader.plan.plan import Node, Step, torch_dtype
from ffcv_hydra.operations import ImageDecoder
from ffcv_hydra.operations.operation import AllocationQuery

_CHUNK_BYTES = 1 << 20
_CHAIN_BYTES = 1 << 22  # a millisecond's work, next to which a task's own cost is nothing


def as_steps(nodes: list[Node], outputs: Mapping[str, Node | list[Node]]) -> list[Step]:
    """Put nodes that feed one another into steps, and decoders of one field's images into one.

    Args:
        nodes: each after the one that feeds it; they learn here whether something else reads what they read.
        outputs: which nodes are delivered.
    """
    readers = readers_of(nodes, outputs)
    for node in nodes:
        node.shares_source = node.parent is not None and readers[node.parent] > 1
    steps: list[Step] = []
    step_of: dict[Node, Step] = {}
    for decoders in _decoders_by_image(nodes):
        step = Step(decoders, None)
        steps.append(step)
        step_of.update(dict.fromkeys(decoders, step))
    for node in nodes:
        if node.parent is None:
            continue
        before = step_of[node.parent]
        follows = before.nodes[-1] is node.parent and not node.shares_source and _is_chain(before)
        if follows and before.kind is node.kind:
            before.nodes.append(node)
            step_of[node] = before
            continue
        step_of[node] = Step([node], before)
        steps.append(step_of[node])
        before.children.append(step_of[node])
    return steps


def _is_chain(step: Step) -> bool:
    return sum(node.parent is None for node in step.nodes) < 2


def _decoders_by_image(nodes: Iterable[Node]) -> list[list[Node]]:
    """The nodes without parent: those that decode images of the same field together, every other one alone."""
    groups: list[list[Node]] = []
    of_field: dict[str, list[Node]] = {}
    for node in nodes:
        if node.parent is not None:
            continue
        if isinstance(node.operation, ImageDecoder) and node.field in of_field:
            of_field[node.field].append(node)
            continue
        groups.append([node])
        if isinstance(node.operation, ImageDecoder):
            of_field[node.field] = groups[-1]
    return groups


def chunk_size(step: Step, batch_size: int, num_workers: int) -> int:
    """Samples per task: an even number, which keeps the pairs that are mixed together.

    A chunk and what is made of it should stay in a core's cache, and fewer than 16 samples are not worth a call.
    """
    most = max(16, min(_CHUNK_BYTES // max(1, _sample_bytes(step)), -(-batch_size // num_workers)))
    return _even_share(batch_size, -(-batch_size // most))


def chain_chunk_size(step: Step, batch_size: int, num_workers: int, batches_ahead: int) -> int:
    """Samples per task of a step that is one chain, in which single images stay in the cache whatever the task's size.

    A whole batch, if there is work for all threads in the batches that are made at the same time.
    """
    most = max(16, _CHAIN_BYTES // max(1, _sample_bytes(step)))
    return _even_share(batch_size, max(-(-batch_size // most), -(-num_workers // max(1, batches_ahead - 1))))


def _sample_bytes(step: Step) -> int:
    queries = [node.memory for node in step.nodes if isinstance(node.memory, AllocationQuery)]
    return max((math.prod(q.shape) * torch_dtype(q.dtype).itemsize for q in queries), default=0)


def _even_share(batch_size: int, num_chunks: int) -> int:
    return -(-batch_size // (2 * num_chunks)) * 2
