"""Which nodes of a step run as one call: image functions in a chain, behind decoders or not, all others alone."""

import math
from dataclasses import replace

import numpy as np

from ffcv_hydra.beton import Beton
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.step import Branch, Link, Step
from ffcv_hydra.operations import ImageDecoder
from ffcv_hydra.operations.image_chain import ImageFunction, ImageFunctionOperation


def links_of(step: Step, beton: Beton) -> tuple[Link, ...]:
    """The links of a step of chunks, in their order.

    Args:
        step: whose nodes are of the kind CHUNK.
        beton: that decoders read.
    """
    decoders = [node for node in step.nodes if node.parent is None]
    branches = {node: _branch_of_decoder(node) for node in decoders}  # by their last nodes
    links = [Link(tuple(branches.values()))] if decoders else []
    for node in step.nodes[len(decoders) :]:
        parent = node.parent
        assert parent is not None
        functions = _functions(node)
        if functions is None:
            links.append(Link((Branch((node,)),)))
            continue
        before = links[-1].branches if links else ()
        last = next((branch for branch in before if branch.nodes[-1] is parent and branch.functions is not None), None)
        if last is None:
            links.append(Link((Branch((node,), functions, _image_bytes(parent)),)))
            continue
        further = replace(last, nodes=(*last.nodes, node), functions=(*(last.functions or ()), *functions))
        links[-1] = Link(tuple(further if branch is last else branch for branch in before))
    if decoders and (stored := _as_stored(links[0], beton)) is not None:
        links[0] = stored
    return tuple(links)


def _functions(node: Node) -> tuple[tuple[ImageFunction, tuple[int, ...]], ...] | None:
    if not isinstance(node.operation, ImageFunctionOperation):
        return None
    assert node.parent is not None
    before = node.parent.state  # foreign code's memory may be of another shape than what it returns
    functions = node.operation.image_functions(tuple(before.shape), np.dtype(before.dtype))
    return tuple((function, node.stream or ()) for function in functions)


def _image_bytes(node: Node) -> int:
    return math.prod(node.state.shape) * np.dtype(node.state.dtype).itemsize


def _branch_of_decoder(node: Node) -> Branch:
    is_of_images = isinstance(node.operation, ImageDecoder)
    return Branch((node,), (), _image_bytes(node)) if is_of_images else Branch((node,))


def _as_stored(link: Link, beton: Beton) -> Link | None:
    """The link without a decoder, if all images of the field are stored as that makes them."""
    branch, decoder = link.branches[0], link.nodes[0]
    operation = decoder.operation
    if len(link.branches) > 1 or not isinstance(operation, ImageDecoder):
        return None
    extents = beton.extents(decoder.field)
    assert extents is not None
    if not operation.is_stored_as_made(extents[1]):
        return None
    shape, flips = tuple(decoder.state.shape), []
    if operation.flip is not None:
        stream = decoder.fused[1].stream or ()
        flips = [(function, stream) for function in operation.flip.image_functions(shape, operation.dtype)]
    return Link((replace(branch, functions=(*flips, *(branch.functions or ()))),), is_stored=True)
