"""A plan in words: what runs, how, and which pixels it promises."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from ffcv_hydra.loader.plan.node import Kind, Node, with_parents
from ffcv_hydra.loader.plan.request import Request
from ffcv_hydra.loader.plan.step import Step
from ffcv_hydra.loader.plan.torch_module import TorchModule
from ffcv_hydra.operations import PlacesDecoder
from ffcv_hydra.operations.dtypes import torch_dtype
from ffcv_hydra.operations.promises import promise_of

Times = Mapping[tuple[Node, ...], float]
"""Seconds per sample, by the nodes that run as one call."""


def output_in_words(
    request: Request, ends: Sequence[Node], steps: Sequence[Step], together: Sequence[str], times: Times
) -> Iterator[str]:
    """The lines about one output.

    Args:
        request: what was asked for.
        ends: the nodes that give it, one for each view; views differ in what they draw alone.
        steps: of the whole plan.
        together: the outputs that are moved as it is.
        times: what was measured; nothing is said of others.
    """
    yield _heading(request, ends, together)
    nodes = with_parents(ends[0])[::-1]
    formed = {step.children[0] for step in steps if step.form is not None}
    for step in steps:
        alike = groupby(step.nodes, key=lambda node: _how(step, [node], step in formed))
        for call in [link.nodes for link in step.links] or [tuple(group) for _, group in alike]:
            own = [node for node in call if node in nodes]
            if own:
                yield f"  {_how(step, call, step in formed)}{_cost(call, times)}"
                for node in own:
                    yield from _operations(node)


def _heading(request: Request, ends: Sequence[Node], together: Sequence[str]) -> str:
    state, notes = ends[0].state, []
    if ends[0].field != request.output:
        notes.append(f"reads '{ends[0].field}'")
    if request.views is not None:
        notes.append(f"{request.views} views, each drawn anew")
    if request.joint_with != request.output:
        notes.append(f"joint with '{request.joint_with}'")
    if together:
        notes.append(f"moves with {', '.join(together)}")
    if request.stays:
        notes.append("follows nothing")
    dtype = str(torch_dtype(state.dtype)).removeprefix("torch.")
    return "; ".join([f"{request.output}: {dtype} {tuple(int(side) for side in state.shape)}", *notes])


def _how(step: Step, call: Sequence[Node], is_formed: bool) -> str:
    first = call[0]
    if is_formed:
        return "lent in this form: costs nothing"
    if step.kind is Kind.CONSUMER:
        draws = isinstance(first.operation, TorchModule) and first.operation.random
        by_sample = ", sample by sample, since it draws from global generators" if draws else ""
        return f"by the thread that takes the batch, which waits for it{by_sample}"
    if step.kind is Kind.BATCH:
        is_compiled = first.state.jit_mode
        why = "its code is compiled for them, and only one such runs at a time" if is_compiled else "these are tensors"
        return f"on whole batches, each by one thread, since {why}"
    outputs = dict.fromkeys(node.output for node in call)
    together = f"; images are decoded once for {', '.join(outputs)}" if _shares(call) else ""
    if any(node.parent in call for node in call):
        together += "; each image goes through all of them"
    return f"on chunks of {step.chunk_size} samples, by all threads{together}"


def _shares(call: Sequence[Node]) -> bool:
    return sum(node.parent is None for node in call) > 1


def _cost(call: Sequence[Node], times: Times) -> str:
    seconds = sum(times.get(nodes, 0.0) for nodes in {tuple(call), *((node,) for node in call)})
    return f" ({seconds * 1e6:,.3g} µs per sample)" if seconds else ""


def _operations(node: Node) -> Iterator[str]:
    """One line for each operation that a node does."""
    for place, part in enumerate(node.fused or (node,)):
        if place and isinstance(node.operation, PlacesDecoder):
            yield f"    follows {part.name}"
            continue
        notes = [] if node.looks_at is None or place else [f"looks at '{node.looks_at}' as stored"]
        if node.fused and node.parent is not None:
            notes.append("done image by image, before it is a tensor")
        elif place:
            notes.append(f"fused with {node.fused[0].name}")
        if (promise := promise_of(part.operation)) is not None:
            notes.append(str(promise))
        yield f"    {part.name}{': ' * bool(notes)}{'; '.join(notes)}"
