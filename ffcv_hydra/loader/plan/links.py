"""Which nodes of a step run as one call: image functions in a chain, every other operation by itself."""

import math

import numpy as np

from ffcv_hydra.beton import Beton
from ffcv_hydra.loader.plan.node import Node
from ffcv_hydra.loader.plan.step import Link, Step
from ffcv_hydra.operations import ImageDecoder
from ffcv_hydra.operations.image_chain import ImageFunctionOperation


def links_of(step: Step, beton: Beton) -> tuple[Link, ...]:
    """The links of a step of chunks, in their order.

    Args:
        step: whose nodes are of the kind CHUNK.
        beton: that decoders read.
    """
    decoders = tuple(node for node in step.nodes if node.parent is None)
    links = [_link_of_decoders(decoders, beton)] if decoders else []
    for node in step.nodes[len(decoders) :]:
        if not isinstance(node.operation, ImageFunctionOperation):
            links.append(Link((node,)))
            continue
        assert node.parent is not None
        before = node.parent.state  # foreign code's memory may be of another shape than what it returns
        functions = node.operation.image_functions(tuple(before.shape), np.dtype(before.dtype))
        image_bytes = math.prod(before.shape) * np.dtype(before.dtype).itemsize
        last = links.pop() if links and links[-1].functions is not None else Link((), (), image_bytes)
        folded = *(last.functions or ()), *((function, node.stream or ()) for function in functions)
        links.append(Link((*last.nodes, node), folded, last.image_bytes))
    return tuple(links)


def _link_of_decoders(decoders: tuple[Node, ...], beton: Beton) -> Link:
    """With functions, maybe none, if all images of the field are stored as the decoder makes them."""
    operation = decoders[0].operation
    if len(decoders) > 1 or not isinstance(operation, ImageDecoder):
        return Link(decoders)
    extents = beton.extents(decoders[0].field)
    assert extents is not None
    if not operation.is_stored_as_made(extents[1]):
        return Link(decoders)
    streams = iter(node.stream for node in decoders[0].fused[1:] if node.stream is not None)
    functions = operation.image_functions()
    folded = tuple((function, next(streams) if function.random else ()) for function in functions)
    return Link(decoders, folded, int(extents[1].min()))
